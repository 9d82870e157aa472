"""When the statements of a credential existed, and who says so."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from lottery_pipeline.ownership.credential import Bundle
from lottery_pipeline.ownership.envelope import Envelope
from lottery_pipeline.ownership.time_stamp import check_stamp


@dataclass(frozen=True)
class Stamp:
    """When something existed, and who says so.

    Attributes:
        time: with a time zone.
        kind: ``rfc3161`` for an authority whose root is trusted, ``log`` for the owner's log.
    """

    time: datetime
    kind: Literal["rfc3161", "log"]


@dataclass(frozen=True)
class StampedTimes:
    """When commitment and release existed; None where nothing says so."""

    commitment: Stamp | None
    release: Stamp | None


def stamped_times(bundle: Bundle, roots: Sequence[bytes]) -> StampedTimes:
    """Tell when commitment and release existed; an authority's stamp goes before the log.

    Args:
        bundle: the credential.
        roots: root certificates of trusted authorities in PEM; empty to go by the log alone.

    Raises:
        OwnershipError: a time stamp does not hold under these roots.
    """
    return StampedTimes(
        _stamp(bundle.commitment_envelope, bundle.commitment_token, bundle.commitment_time, roots),
        _stamp(bundle.release_envelope, bundle.release_token, bundle.release_time, roots),
    )


def _stamp(
    envelope: Envelope | None, token: bytes | None, logged: datetime | None, roots: Sequence[bytes]
) -> Stamp | None:
    if envelope is not None and token is not None and roots:
        return Stamp(check_stamp(token, envelope.digest, roots), "rfc3161")
    return None if logged is None else Stamp(logged, "log")
