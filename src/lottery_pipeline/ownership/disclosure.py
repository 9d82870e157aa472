"""What an owner reveals in a dispute: the key of the mark and one of the four trigger sets.

Until then only the owner can look for the mark. Afterwards everybody can, and can remove it; a trigger set
that has been shown is spent, which is why there are four.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from lottery_pipeline.ownership.commitment import Secrets, hash_key
from lottery_pipeline.ownership.credential import Bundle
from lottery_pipeline.ownership.errors import OwnershipError
from lottery_pipeline.ownership.merkle import check_path, merkle_path
from lottery_pipeline.ownership.records import Record, Sha256, parse_record
from lottery_pipeline.ownership.statements import TRIGGER_SETS
from lottery_pipeline.ownership.triggers import (
    KEY_BYTES,
    MAX_BYTES,
    MAX_IMAGES,
    TriggerSet,
    check_trigger_set,
)
from lottery_pipeline.tickets.errors import TicketError
from lottery_pipeline.tickets.tensor_file import open_tensor_file, tensor_file_bytes

DISCLOSURE_KEY = "lottery_pipeline.disclosure"
_MOST_BYTES = MAX_BYTES + 8 * MAX_IMAGES + KEY_BYTES  # images, labels, key


class _Header(Record):
    version: Literal[1] = 1
    commitment: Sha256
    mask_key: Sha256  # 64 hexadecimal characters as well
    number: Annotated[int, Field(ge=0, lt=TRIGGER_SETS)]
    path: Annotated[tuple[Sha256, ...], Field(max_length=TRIGGER_SETS)]


@dataclass(frozen=True, repr=False, eq=False)
class Disclosure:
    """What is revealed.

    Attributes:
        commitment: SHA-256 of the commitment's statement, hexadecimal.
        mask_key: K_mask.
        number: which trigger set, 0 to 3.
        triggers: that set.
        path: that leads from it to the Merkle root in the credential.
    """

    commitment: str
    mask_key: bytes
    number: int
    triggers: TriggerSet
    path: tuple[bytes, ...]

    def to_bytes(self) -> bytes:
        """Return the content of a disclosure file: safetensors, with a header in JSON."""
        header = _Header(
            commitment=self.commitment,
            mask_key=self.mask_key.hex(),
            number=self.number,
            path=tuple(step.hex() for step in self.path),
        )
        return tensor_file_bytes(
            self.triggers.to_tensors(), header.model_dump(mode="json"), key=DISCLOSURE_KEY
        )


def make_disclosure(
    bundle: Bundle, secrets: Secrets, triggers: Sequence[TriggerSet], number: int
) -> Disclosure:
    """Reveal the key of the mark and one trigger set.

    Args:
        bundle: the credential.
        secrets: its keys.
        triggers: all four sets.
        number: of the set to be revealed; take one that was not shown before.
    """
    path = merkle_path([one.leaf() for one in triggers], number)
    return Disclosure(bundle.commitment_digest, secrets.mask_key, number, triggers[number], tuple(path))


def read_disclosure(path: str | Path) -> Disclosure:
    """Read a disclosure file, trusting nothing in it; ``check_disclosure`` compares it with a credential.

    Raises:
        OwnershipError: the file is not a valid disclosure; one sentence that names it.
    """
    try:
        with open_tensor_file(path, key=DISCLOSURE_KEY) as file:
            header = parse_record(_Header, file.record["header"], what="header of the disclosure")
            if sum(entry.end - entry.begin for entry in file.entries.values()) > _MOST_BYTES:
                raise OwnershipError(f"it holds more than the {_MOST_BYTES} bytes of the largest trigger set")
            file.check_content()
            tensors = {name: file.read(name) for name in file.entries}
        triggers = TriggerSet.from_tensors(tensors)
    except (TicketError, OwnershipError, RecursionError) as error:  # the last: of a header nested too deep
        raise OwnershipError(f"the disclosure {path} is not valid: {error}") from error
    steps = tuple(bytes.fromhex(step) for step in header.path)
    return Disclosure(header.commitment, bytes.fromhex(header.mask_key), header.number, triggers, steps)


def check_disclosure(disclosure: Disclosure, bundle: Bundle, num_classes: int) -> None:
    """Compare what is revealed with what was committed to.

    Raises:
        OwnershipError: it belongs to another credential, or a key or the trigger set is not the one that the
            owner committed to.
    """
    commitment = bundle.commitment
    if disclosure.commitment != bundle.commitment_digest:
        raise OwnershipError("the disclosure belongs to another credential")
    keys: Mapping[str, tuple[bytes, str]] = {
        "key of the mark": (disclosure.mask_key, commitment.mask_key),
        "key of the trigger set": (disclosure.triggers.key, commitment.trigger_keys[disclosure.number]),
    }
    for what, (key, committed) in keys.items():
        if hash_key(key) != committed:
            raise OwnershipError(f"the {what} is not the one that the owner committed to")
    root = bytes.fromhex(commitment.trigger_root)
    leaf = disclosure.triggers.leaf()
    if not check_path(root, leaf, disclosure.number, TRIGGER_SETS, disclosure.path):
        raise OwnershipError("the trigger set is not one of those that the owner committed to")
    check_trigger_set(disclosure.triggers, num_classes)
