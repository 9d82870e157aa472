"""Kedro's catalog; a version of a dataset that does not exist is refused in one sentence."""

from difflib import get_close_matches
from typing import Any

import click
from kedro.io import DataCatalog, DatasetNotFoundError


class ProjectCatalog(DataCatalog):
    """Kedro's catalog, which says what ``--load-versions`` may name."""

    @classmethod
    def from_config(cls, catalog: dict[str, dict[str, Any]] | None, *args: Any, **named: Any) -> DataCatalog:
        """Make a catalog as Kedro does.

        Raises:
            ClickException: ``load_versions`` names a dataset that the catalog lacks; one sentence.
        """
        try:
            return super().from_config(catalog, *args, **named)
        except DatasetNotFoundError as error:
            asked = named.get("load_versions") or (args[1] if len(args) > 1 else {})
            known = list(catalog or {})
            missing = next((name for name in asked if name not in known), "")
            near = get_close_matches(missing, known, n=1)
            hint = f"did you mean {near[0]}?" if near else "`kedro catalog list` shows those that are there."
            raise click.ClickException(
                f"--load-versions names {missing!r}, which is not a dataset of the catalog; {hint}"
            ) from error
