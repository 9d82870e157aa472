"""A forger: what he holds, and how he makes claims that look like an owner's."""

import hashlib
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from torch import Tensor

from lottery_pipeline.ownership.attacks.forged_keys import KeyTrials, Tried, try_keys
from lottery_pipeline.ownership.attacks.forged_references import fit_reference
from lottery_pipeline.ownership.carriers import fingerprint_live
from lottery_pipeline.ownership.chain_log import LogEntry, append, read_log
from lottery_pipeline.ownership.claims import Claim, Opened
from lottery_pipeline.ownership.commitment import hash_key
from lottery_pipeline.ownership.credential import Bundle, sign_commitment, sign_release
from lottery_pipeline.ownership.envelope import Envelope
from lottery_pipeline.ownership.errors import OwnershipError
from lottery_pipeline.ownership.keys import OwnerKey
from lottery_pipeline.ownership.mask_code import Mark
from lottery_pipeline.ownership.statements import (
    TRIGGER_SETS,
    Commitment,
    Release,
    commitment_bytes,
    payload_of,
)
from lottery_pipeline.ownership.suspect import gather_suspect
from lottery_pipeline.ownership.verify import OWNED, REFUSED, find_mark, verify_claim
from lottery_pipeline.reproducibility.fingerprints import fingerprint_tensors
from lottery_pipeline.sparsity.masks import Masks
from lottery_pipeline.tickets.ticket import Ticket, make_ticket

SWAPS = 4000  # of channels, to make a reference fit
LOWEST_LEVEL = 20  # bits; the least that a credential can ask for
TAKEN = "taken for valid"
_DAY = timedelta(days=1)
_UNDATED = datetime(2000, 1, 1, tzinfo=UTC)
_NO_FILE = "0" * 64


class Fitted(NamedTuple):
    """A reference made after the network, the commitment it goes with, and the bits it would show."""

    commitment: Commitment
    ticket: Ticket
    bits: float


class Outcome(NamedTuple):
    """What became of one forgery: a verdict or ``TAKEN``, its evidence, and a sentence."""

    verdict: str
    bits: float
    says: str

    @property
    def accepted(self) -> bool:
        """Whether the forger has got what he wanted."""
        return self.verdict in (OWNED, TAKEN)


@dataclass(frozen=True, eq=False)
class Forger:
    """Somebody who claims a network that is not his.

    He knows what is public, what a disclosure reveals, and the network.

    Attributes:
        claim: the owner's.
        opened: its secrets.
        state: of the network that is fought over.
        seed: of everything he draws.
        keys: number of keys that he tries.
    """

    claim: Claim
    opened: Opened
    state: Mapping[str, Tensor]
    seed: int
    keys: int

    @cached_property
    def signing_key(self) -> OwnerKey:
        """What he signs with."""
        private_key = Ed25519PrivateKey.from_private_bytes(self.draw("private key"))
        return OwnerKey(private_key, self.draw("secret"))

    @cached_property
    def mask_key(self) -> bytes:
        """A key of a mark, drawn before he knew the network."""
        return self.draw("key")

    @cached_property
    def seen(self) -> datetime:
        """When the network was public for the first time: a week after the owner's release."""
        bundle = self.claim.bundle
        return (bundle.release_time or bundle.commitment_time or _UNDATED) + 7 * _DAY

    @cached_property
    def groups(self) -> dict[str, int]:
        """Groups by layer, as the owner has them."""
        return dict(self.claim.bundle.commitment.code.groups)

    @cached_property
    def best(self) -> Tried:
        """The best of the keys he has tried; each has a commitment of its own."""
        trials = KeyTrials(self.state, self.claim.ticket.masks, self.groups)
        keys = (self.draw("key", number) for number in range(self.keys))
        return try_keys(trials, keys, lambda key: payload_of(commitment_bytes(self.commit(key))))

    @cached_property
    def fitted(self) -> Fitted:
        """The network's channels in the order that suits the key."""
        suspect = hold(self.claim.ticket, self.state)
        commitment = self.commit(self.mask_key, live=fingerprint_live(suspect.masks))
        mark = Mark(self.mask_key, payload_of(commitment_bytes(commitment)), self.groups)
        ticket = hold(suspect, fit_reference(suspect, mark, seed=self.seed, swaps=SWAPS))
        claim = self.publish(commitment, ticket=ticket)
        found = find_mark(claim, gather_suspect(self.state, ticket), self.mask_key, aligned=True)
        return Fitted(commitment, ticket, found.bits)

    def draw(self, *labels: str | int) -> bytes:
        """Draw 32 bytes."""
        return hashlib.sha256("/".join(map(str, ("forger", self.seed, *labels))).encode()).digest()

    def commit(self, mask_key: bytes, **code: Any) -> Commitment:
        """Commit to a key as the owner has done, and ask for as little evidence as a credential may.

        Args:
            mask_key: K_mask.
            code: changes to the parameters of the code.
        """
        own = self.claim.bundle.commitment
        return own.model_copy(
            update={
                "owner": "forger",
                "public_key": self.signing_key.public_key.hex(),
                "mask_key": hash_key(mask_key),
                "trigger_keys": tuple(hash_key(self.draw("trigger", i)) for i in range(TRIGGER_SETS)),
                "trigger_root": self.draw("root").hex(),
                "alpha_stamped": LOWEST_LEVEL,
                "alpha_unstamped": LOWEST_LEVEL,
                "code": own.code.model_copy(update=code),
            }
        )

    def publish(
        self,
        commitment: Commitment,
        *,
        ticket: Ticket | None = None,
        trial: int = 0,
        days_before: tuple[int, int] = (2, 1),
    ) -> Claim:
        """Sign a commitment and a release, and write a log that dates them.

        Args:
            commitment: his.
            ticket: that he claims; the owner's by default.
            trial: number of the whitening.
            days_before: the network was seen, commitment and release were logged; negative for later.
        """
        ticket = ticket or self.claim.ticket
        committed = sign_commitment(commitment, self.signing_key)
        release = Release(
            commitment=hashlib.sha256(committed.payload).hexdigest(),
            marked_masks=fingerprint_tensors(ticket.masks),
            tensors=fingerprint_tensors(ticket.state),
            ticket=ticket.fingerprint,
            accuracy_ppm=1_000_000,
            trigger_root=commitment.trigger_root,
            grinding_trial=trial,
        )
        published = sign_release(release, self.claim.bundle.ticket_sha256 or _NO_FILE, self.signing_key)
        times = [self.seen - days * _DAY for days in days_before]
        return Claim(Bundle(committed, published, _write_log([committed, published], times)), ticket)

    def present(self, claim: Claim, mask_key: bytes, state: Mapping[str, Tensor] | None = None) -> Outcome:
        """Have a claim verified.

        Args:
            claim: any.
            mask_key: that opens it.
            state: of the network; the one that is fought over by default.
        """
        sha256 = claim.bundle.ticket_sha256 or _NO_FILE
        suspect = gather_suspect(self.state if state is None else state, claim.ticket, sha256=sha256)
        try:
            found = verify_claim(
                claim, suspect, opened=Opened(mask_key), seen=self.seen, now=self.seen + _DAY
            )
        except OwnershipError as error:
            return Outcome(REFUSED, 0.0, f"It is refused: {error}.")
        return Outcome(found["verdict"], found["bits"], found["sentence"])


def hold(ticket: Ticket, state: Mapping[str, Tensor], masks: Masks | None = None) -> Ticket:
    """Return a trained ticket of the same network with other tensors.

    Args:
        ticket: the one that tells the network.
        state: its tensors.
        masks: of the new ticket; None prunes what is 0.
    """
    return make_ticket(
        method=ticket.method,
        spec=ticket.header.spec,
        masks=masks or {name: state[name] != 0 for name in ticket.masks},
        state=state,
        seed=ticket.header.seed,
        rewind_step=ticket.header.rewind_step,
        steps_per_epoch=ticket.header.steps_per_epoch,
        parents={},
        kind="trained",
        allow_factory=ticket.allow_factory,
    )


def attempt(make: Callable[[], Bundle]) -> Outcome:
    """Make a credential that must be refused."""
    try:
        make()
    except OwnershipError as error:
        return Outcome(REFUSED, 0.0, f"It is refused: {error}.")
    return Outcome(TAKEN, 0.0, "It is taken for valid.")


def _write_log(statements: Sequence[Envelope], times: Sequence[datetime]) -> tuple[LogEntry, ...]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log"
        for statement, time in zip(statements, times, strict=True):
            append(path, statement.digest, time)
        return read_log(path)
