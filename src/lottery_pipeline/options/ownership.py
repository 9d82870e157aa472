"""Options of signing a ticket, of verifying a claim, and of the attacks on a signed ticket."""

import re
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, StringConstraints, field_validator

from lottery_pipeline.options.lists import DISTINCT, Group

NOT_SIGNED = "not signed"  # the verdict on a ticket that has no room for a mark
LEAST_GROUPS = 128  # as many as the payload has symbols
MOST_GROUPS = 65_536

TriggerFamily = Literal["pattern", "shapes"]


def _check_owner(name: str) -> str:
    if not name.strip() or not name.isprintable():
        raise ValueError(f"owner is {name!r}; it must be a name of 1 to 200 printable characters")
    return name.strip()


def _check_time_zone(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError(f"{moment.isoformat()} has no time zone; write it as 2026-01-31T12:00:00Z")
    return moment


def _check_attack(name: str) -> str:
    if not re.fullmatch(r"A([0-9]|[12][0-9]|3[01])", name):
        raise ValueError(
            f"{name!r} is not a valid attack; attacks are A0 to A31, as docs/ownership.md lists them"
        )
    return name


class SignatureOptions(Group):
    """How a ticket is signed.

    Attributes:
        owner: name in the credential.
        groups: of eight carriers; each holds three bits. More survive more and cost more edits.
        grinding_bits: g; the whitening with the fewest edits of 2^g is taken, for g bits of evidence.
        margin: strength of the term of the loss that keeps carriers from becoming small; 0 for none.
        images_per_class: training images for the gradients that choose the edits.
        trigger_family: ``shapes`` (drawn) or ``pattern`` (training images with a keyed pattern).
        trigger_images: in each of the four trigger sets.
        triggers_per_batch: trigger images that join every batch; 0 trains without triggers.
        time_stamp_url: of an RFC 3161 authority, asked twice per signing; None for the offline log alone.
    """

    owner: Annotated[str, Field(max_length=200), AfterValidator(_check_owner)]
    groups: int = Field(default=144, strict=True, ge=LEAST_GROUPS, le=MOST_GROUPS)
    grinding_bits: int = Field(default=0, strict=True, ge=0, le=12)
    margin: float = Field(default=0.1, ge=0, le=100)
    images_per_class: int = Field(default=20, strict=True, ge=1, le=10_000)
    trigger_family: TriggerFamily = "shapes"
    trigger_images: int = Field(default=25, strict=True, ge=8, le=10_000)
    triggers_per_batch: int = Field(default=24, strict=True, ge=0, le=4096)
    time_stamp_url: str | None = None

    @field_validator("time_stamp_url")
    @classmethod
    def _is_an_address(cls, url: str | None) -> str | None:
        if url is not None and not re.match(r"https?://[^/]", url):
            raise ValueError(f"time_stamp_url is {url!r}; it must begin with http:// or https://")
        return url


class VerificationOptions(Group):
    """What a verifier knows beside the suspect and the credential.

    Attributes:
        suspect_seen: when the suspect was public for the first time, with a time zone; None for now.
        roots: files with root certificates (PEM) of time-stamping authorities that are trusted.
        known_entry: hash of an entry of the owner's log that the verifier knows from elsewhere.
    """

    suspect_seen: Annotated[datetime, AfterValidator(_check_time_zone)] | None = None
    roots: tuple[Path, ...] = ()
    known_entry: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")] | None = None

    def resolve(self, project: Path) -> Self:
        """Let relative paths start at the project folder, whatever folder the command runs in."""
        return self.model_copy(update={"roots": tuple(project / root for root in self.roots)})


class AttackOptions(Group):
    """Which attacks are run on the signed ticket.

    Attributes:
        attacks: by name, such as A5; empty for all that the table of attacks has.
        grid: ``quick`` (a point or two of each) or ``full`` (all parameters of the table).
        seeds: of the attackers.
    """

    attacks: Annotated[tuple[Annotated[str, AfterValidator(_check_attack)], ...], DISTINCT] = ()
    grid: Literal["quick", "full"] = "quick"
    seeds: Annotated[tuple[Annotated[int, Field(ge=0, lt=2**63)], ...], Field(min_length=1), DISTINCT] = (0,)
