"""Datasets of ownership: the owner's key, credentials, releases, suspects, their answers and disclosures."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from kedro.io import AbstractDataset, DatasetError

from lottery_pipeline.datasets.local_files import LocalFileDataset, Recall, hold
from lottery_pipeline.datasets.previews import Rows, TablePreview, list_pairs, preview_table
from lottery_pipeline.reproducibility.files import write_atomically

if TYPE_CHECKING:
    from lottery_pipeline.ownership.claims import Claim
    from lottery_pipeline.ownership.commitment import Owner
    from lottery_pipeline.ownership.credential import Bundle
    from lottery_pipeline.ownership.disclosure import Disclosure

LOG_FILE = "owner_log.jsonl"


class OwnerDataset(AbstractDataset[None, "Owner | None"]):
    """The owner's key, read when it is loaded and kept nowhere; None if there is no file.

    Args:
        filepath: of the key; the log lies beside it.
        metadata: for Kedro-Viz.

    Attributes:
        path: of the key; a run whose credentials name another one sets it.
    """

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self.path = Path(filepath)
        self.metadata = metadata

    def load(self) -> "Owner | None":
        """Read the key."""
        from lottery_pipeline.ownership.commitment import Owner
        from lottery_pipeline.ownership.keys import read_key_file

        if not self.path.exists():
            return None
        return Owner(read_key_file(self.path), self.path.with_name(LOG_FILE))

    def save(self, data: None) -> None:  # noqa: ARG002 (the signature is Kedro's)
        """Refuse: no run writes a key but the one that makes it."""
        raise DatasetError("the owner's key is not written by a node")

    def _exists(self) -> bool:
        return self.path.is_file()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self.path)}


class CredentialDataset(LocalFileDataset):
    """A credential before its release."""

    def _read(self, path: Path) -> "Bundle":
        from lottery_pipeline.ownership.credential import read_bundle

        return read_bundle(path)

    def _write(self, path: Path, data: "Bundle") -> Recall:
        write_atomically(path, data.to_bytes())
        return lambda: data

    def preview(self) -> TablePreview:
        """Return what the credential says, for Kedro-Viz."""
        return preview_table(self, _describe_credential)


class ReleaseDataset(LocalFileDataset):
    """A release: the credential and, in the same folder, the ticket that it vouches for.

    Attributes:
        allow_factory: as for tickets.
    """

    allow_factory: str | None = None

    def _read(self, path: Path) -> "Claim":
        from lottery_pipeline.ownership.claims import read_claim

        return read_claim(path.parent, allow_factory=self.allow_factory)

    def _write(self, path: Path, data: "Claim") -> Recall | None:
        from lottery_pipeline.ownership.release import write_release

        write_release(path.parent, data.ticket.to_bytes(), data.bundle)
        return hold(data, data.ticket.masks, data.ticket.state)

    def preview(self) -> TablePreview:
        """Return what the credential says, for Kedro-Viz."""
        return preview_table(self, _describe_credential)


class SuspectDataset(LocalFileDataset):
    """A network of somebody else; it is read, with all care, by the node that has the owner's ticket."""

    def _read(self, path: Path) -> Path:
        return path

    def _write(self, path: Path, data: Any) -> Recall:  # noqa: ARG002 (nothing is written)
        raise DatasetError(f"{path} is a suspect, which no node writes")


class DisclosureDataset(LocalFileDataset):
    """What an owner reveals to a judge: the key of the mark and one trigger set."""

    def _read(self, path: Path) -> "Disclosure":
        from lottery_pipeline.ownership.disclosure import read_disclosure

        return read_disclosure(path)

    def _write(self, path: Path, data: "Disclosure") -> Recall:
        write_atomically(path, data.to_bytes())
        return lambda: data


class PredictionsDataset(LocalFileDataset):
    """What a suspect that nobody here can run said of the triggers: a CSV file of somebody else."""

    def _read(self, path: Path) -> dict[str, list[int]]:
        from lottery_pipeline.ownership.answers import read_table

        return read_table(path)

    def _write(self, path: Path, data: Any) -> Recall:  # noqa: ARG002 (nothing is written)
        raise DatasetError(f"{path} has the answers of a suspect, which no node writes")


def _describe_credential(path: Path) -> Rows:
    from lottery_pipeline.ownership.credential import read_bundle

    bundle = read_bundle(path)
    said = {
        "owner": bundle.commitment.owner,
        "public key": bundle.commitment.public_key,
        "model": bundle.commitment.model,
        "committed": _show(bundle.commitment_time),
        "released": _show(bundle.release_time),
        "ticket sha256": bundle.ticket_sha256,
    }
    return list_pairs(said)


def _show(moment: Any) -> str | None:
    return None if moment is None else moment.isoformat()
