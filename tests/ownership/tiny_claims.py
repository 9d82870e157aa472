"""A signed ticket small enough for tests: LeNet on images of 10 x 10 pixels; and networks of strangers."""

import os
import tempfile
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from unittest.mock import patch

from torch import Tensor

from lottery_pipeline.evaluation.retraining import retrain_ticket
from lottery_pipeline.images.splits import ImageSplits
from lottery_pipeline.options.ownership import SignatureOptions
from lottery_pipeline.ownership.claims import Claim, open_as_owner
from lottery_pipeline.ownership.commitment import Owner, commit_ticket, find_secrets
from lottery_pipeline.ownership.credential import Bundle, make_bundle, with_release
from lottery_pipeline.ownership.keys import OwnerKey
from lottery_pipeline.ownership.signing import find_trigger_root, publish_ticket, sign_ticket, train_signed
from lottery_pipeline.sparsity.selection import keep_top_k
from lottery_pipeline.tickets.ticket import Ticket, make_ticket
from lottery_pipeline.training.dense import DenseRun
from lottery_pipeline.training.recipe import Recipe
from tests.ownership.owners import chain, make_key, sha
from tests.tiny import draw_images, pretrain_tiny

RECIPE = Recipe(learning_rate=0.05, epochs=4, batch_size=50)
OPTIONS = SignatureOptions(
    owner="Zoë Example", groups=128, trigger_family="shapes", trigger_images=100, triggers_per_batch=25
)
COMMITTED, RELEASED = "2026-05-02T09:30:00Z", "2026-05-04T11:45:10Z"


@dataclass(frozen=True, eq=False)
class TinyClaim:
    """A signed ticket and all that it was made from."""

    claim: Claim
    key: OwnerKey
    images: ImageSplits
    dense: DenseRun
    unsigned: Ticket
    options: SignatureOptions

    def opened(self):
        return open_as_owner(self.claim, self.key, self.images, self.options)


@cache
def tiny_images() -> ImageSplits:
    return draw_images(side=10, counts=(200, 20, 100), classes=10)


@cache
def tiny_dense(seed: int = 0) -> DenseRun:
    return pretrain_tiny(tiny_images(), "lenet_300_100", RECIPE, rewind_epoch=1.0, seed=seed)


def tiny_ticket(density: float = 0.2, *, seed: int = 0, by: str = "final") -> Ticket:
    """The largest weights of a dense run, from its rewind point."""
    dense = tiny_dense(seed)
    weights = {n: t for n, t in getattr(dense, by).items() if n.endswith("weight")}
    total = sum(weight.numel() for weight in weights.values())
    return make_ticket(
        method="ltr",
        spec=dense.spec,
        masks=keep_top_k({name: weight.abs() for name, weight in weights.items()}, int(density * total)),
        state=dense.rewind,
        seed=seed,
        rewind_step=dense.rewind_step,
        parents={"dense": dense.fingerprint, "images": tiny_images().fingerprint},
    )


@cache
def tiny_claim(number: int = 1, *, density: float = 0.2, seed: int = 0, **changes: object) -> TinyClaim:
    """Sign, train and publish a ticket; the nonce is the owner's number, and the log has fixed times."""
    options = SignatureOptions(**{**OPTIONS.model_dump(), **changes})
    return sign_tiny(tiny_ticket(density, seed=seed), tiny_dense(seed), make_key(number), options)


def sign_tiny(
    ticket: Ticket, dense: DenseRun, key: OwnerKey, options: SignatureOptions = OPTIONS
) -> TinyClaim:
    images = tiny_images()
    nonce = bytes.fromhex(sha(f"nonce of {key.public_key.hex()}"))
    with tempfile.TemporaryDirectory() as folder, patch.object(os, "urandom", lambda _: nonce):
        owner = Owner(key, Path(folder) / "chain.jsonl")
        bundle = commit_ticket(
            ticket, owner, options, find_trigger_root=lambda found: find_trigger_root(found, images, options)
        )
        mask_key = find_secrets(key, bundle.commitment).mask_key
        signed, _, _ = sign_ticket(ticket, dense, images, bundle, mask_key, options, seed=0, device="cpu")
        trained = train_signed(signed, images, RECIPE, bundle, key, options, seed=0, device="cpu").ticket
        bundle = publish_ticket(trained, bundle, owner, accuracy=0.5)
    return TinyClaim(Claim(date(bundle), trained), key, images, dense, ticket, options)


def date(bundle: Bundle, *, committed: str = COMMITTED, released: str = RELEASED) -> Bundle:
    """Give a credential a log with these times."""
    digests = (bundle.commitment_envelope.digest.hex(), bundle.release_envelope.digest.hex())
    log = chain(list(zip((committed, released), digests, strict=True)))
    return with_release(make_bundle(bundle.commitment_envelope), bundle.release_envelope, log=log)


def dated(claim: Claim, **times: str) -> Claim:
    return replace(claim, bundle=date(claim.bundle, **times))


def undated(claim: Claim) -> Claim:
    bundle = claim.bundle
    return replace(
        claim, bundle=with_release(make_bundle(bundle.commitment_envelope), bundle.release_envelope, log=())
    )


def train_tiny(ticket: Ticket, *, seed: int = 0) -> Ticket:
    return retrain_ticket(ticket, tiny_images(), RECIPE, seed=seed, device="cpu").ticket


def weights_in(ticket: Ticket) -> dict[str, Tensor]:
    return {name: ticket.state[name] for name in ticket.masks}
