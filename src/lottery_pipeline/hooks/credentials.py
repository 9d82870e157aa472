"""The owner's key: the catalog knows its path alone; it is made when a run signs for the first time."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kedro.config import MissingConfigException
from kedro.framework.hooks import hook_impl

from lottery_pipeline.datasets.ownership import OwnerDataset
from lottery_pipeline.hooks.requests import RunRefusedError

if TYPE_CHECKING:
    from kedro.framework.context import KedroContext
    from kedro.io import CatalogProtocol
    from kedro.pipeline import Pipeline

logger = logging.getLogger(__name__)

OWNER = "owner"
# Only who signs needs a key; whoever verifies may have none.
SIGNING = "signature_embedding"


class CredentialHooks:
    """Tells the catalog where the owner's key lies, if Kedro's credentials say so.

    The credentials hold a path and never the secret: Kedro would pickle it with the dataset for workers, and
    return it by ``catalog.to_config()``. The catalog entry has no ``credentials`` of its own either, because
    Kedro-Viz reads the catalog without any hook.
    """

    def __init__(self) -> None:
        self._named: Path | None = None

    @hook_impl
    def after_context_created(self, context: "KedroContext") -> None:
        """Read ``owner.file`` of a credentials.yml, if there is one; relative paths start at the project."""
        try:
            given: dict[str, Any] = context.config_loader["credentials"]
        except MissingConfigException:
            given = {}
        named = (given.get(OWNER) or {}).get("file")
        self._named = context.project_path / named if named else None

    @hook_impl
    def before_pipeline_run(self, pipeline: "Pipeline", catalog: "CatalogProtocol") -> None:
        """Name the key to the dataset, and make one if this run signs and there is none.

        A key that cannot be made or read is refused here, before hours of work.
        """
        if OWNER not in pipeline.inputs():
            return
        owner = catalog.get(OWNER)
        if not isinstance(owner, OwnerDataset):
            return
        if self._named is not None:
            owner.path = self._named
        from lottery_pipeline.ownership.errors import OwnershipError
        from lottery_pipeline.ownership.keys import read_key_file

        signs = any(node.namespace == SIGNING for node in pipeline.nodes)
        try:
            if signs and not owner.path.exists():
                _make_key(owner.path)
            if owner.path.exists():
                read_key_file(owner.path)
        except OwnershipError as error:
            raise RunRefusedError(str(error)) from error


def _make_key(path: Path) -> None:
    from lottery_pipeline.ownership.errors import OwnershipError
    from lottery_pipeline.ownership.keys import create_key_file

    try:
        create_key_file(path)
    except OwnershipError:
        if not path.is_file():
            raise
        logger.info("Another run has just made the owner's key %s; this run takes it.", path)
        return
    logger.warning(
        "There was no owner's key, so one was made: %s. Whoever has it can sign in your name, and "
        "without it you cannot prove anything: keep a copy in a safe place.",
        path,
    )
