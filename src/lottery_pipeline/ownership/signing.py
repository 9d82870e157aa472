"""Signing a ticket: write the mark into its mask, hold it while the ticket trains, publish what came out."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice

import torch
from torch.nn.functional import cross_entropy

from lottery_pipeline.evaluation.retraining import Retraining, retrain_ticket
from lottery_pipeline.images.splits import ImageSet, ImageSplits
from lottery_pipeline.options.ownership import SignatureOptions
from lottery_pipeline.ownership.carriers import place_groups
from lottery_pipeline.ownership.commitment import Owner, Secrets, date_statement, find_secrets
from lottery_pipeline.ownership.credential import Bundle, sign_release, with_release
from lottery_pipeline.ownership.errors import OwnershipError
from lottery_pipeline.ownership.keyed_numbers import draw_numbers
from lottery_pipeline.ownership.keys import OwnerKey
from lottery_pipeline.ownership.mask_code import Mark, choose_trial, sign_masks
from lottery_pipeline.ownership.merkle import merkle_root
from lottery_pipeline.ownership.statements import Release
from lottery_pipeline.ownership.triggers import TriggerSet, make_trigger_sets
from lottery_pipeline.reproducibility.checkpoints import Checkpoints
from lottery_pipeline.reproducibility.fingerprints import fingerprint_tensors
from lottery_pipeline.search.calibration import draw_calibration
from lottery_pipeline.search.parents import check_ticket
from lottery_pipeline.search.scoring import copied_tensors, sum_gradients, yield_losses
from lottery_pipeline.sparsity.masks import Weights
from lottery_pipeline.tickets.ticket import Ticket, make_ticket
from lottery_pipeline.training.dense import DenseRun
from lottery_pipeline.training.device import pick_device
from lottery_pipeline.training.margin import Margin
from lottery_pipeline.training.recipe import Recipe
from lottery_pipeline.training.result import OnRecord, State

CREDENTIAL_ROLE = "credential"  # among the parents of a signed ticket
_LOWEST_FLOOR, _HIGHEST_FLOOR = 0.75, 1.5
_BATCH = 256


def mark_of(bundle: Bundle, mask_key: bytes) -> Mark:
    """Return the mark of a credential, once its key is known."""
    code = bundle.commitment.code
    trial = 0 if bundle.release is None else bundle.release.grinding_trial
    return Mark(mask_key, bundle.payload, dict(code.groups), trial, code.grinding_bits)


def sign_ticket(
    ticket: Ticket,
    dense: DenseRun,
    images: ImageSplits,
    bundle: Bundle,
    mask_key: bytes,
    options: SignatureOptions,
    *,
    seed: int,
    device: str = "auto",
) -> tuple[Ticket, Mark, int]:
    """Write the mark of a credential into a ticket.

    Args:
        ticket: ``kind="ticket"``, the one that was committed to.
        dense: the dense run it was found in (of a ticket within a ticket: the run of its parent), which knows
            the start weights of what the ticket has pruned.
        images: those it was made from.
        bundle: the credential, without a release.
        mask_key: K_mask.
        options: of the signature.
        seed: the run's seed, for the calibration images.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.

    Returns:
        The signed ticket, with the same counts in every layer, the same start, and ``unsigned`` and
        ``credential`` among its parents; its mark; and how many weights were kept or pruned anew.

    Raises:
        OwnershipError: the ticket is trained already or is not the one committed to, was found in another
            dense run, or cannot hold the mark.
        TicketError: ticket and images do not belong together.
    """
    check_ticket(ticket, images)
    if ticket.header.kind != "ticket":
        raise OwnershipError("this ticket is trained already; sign the ticket it came from")
    if fingerprint_tensors(ticket.masks) != bundle.commitment.unmarked_masks:
        raise OwnershipError("the credential was made for another ticket; commit to this one first")
    start = find_start(ticket, dense)
    mark = mark_of(bundle, mask_key)
    if mark.grinding_bits:
        mark = replace(mark, trial=choose_trial(ticket.masks, mark))
    gradients = _measure_gradients(ticket, images, options.images_per_class, seed=seed, device=device)
    marking = sign_masks(ticket.masks, mark, gradients, start)
    both = {name: torch.where(mask, ticket.state[name], start[name]) for name, mask in ticket.masks.items()}
    signed = make_ticket(
        method=ticket.method,
        spec=ticket.header.spec,
        masks=marking.masks,
        state={**ticket.state, **both},
        seed=ticket.header.seed,
        rewind_step=ticket.header.rewind_step,
        steps_per_epoch=ticket.header.steps_per_epoch,
        parents={
            **ticket.header.parents,
            "unsigned": ticket.fingerprint,
            CREDENTIAL_ROLE: bundle.commitment_digest,
        },
        allow_factory=ticket.allow_factory,
    )
    return signed, mark, marking.edits


def hold_carriers(ticket: Ticket, mark: Mark, strength: float) -> Margin | None:
    """Return the margin that keeps the carriers of a signed ticket from being the first that pruning takes.

    The floors are spread by the key, so that carriers do not betray themselves by one common magnitude.

    Args:
        ticket: signed.
        mark: its mark.
        strength: of the term; 0 for no margin.
    """
    if not strength:
        return None
    targets = iter(mark.targets().tolist())
    floors = {}
    for name, indices in place_groups(mark.key, ticket.masks, mark.planned).items():
        kept = [int(row[target]) for row, target in zip(indices, islice(targets, len(indices)), strict=True)]
        shares = torch.from_numpy(draw_numbers(mark.key, f"floors/{name}", len(kept)) / 2.0**64)
        floor = torch.zeros(ticket.masks[name].numel())
        floor[kept] = (_LOWEST_FLOOR + (_HIGHEST_FLOOR - _LOWEST_FLOOR) * shares).float()
        floors[name] = floor.reshape(ticket.masks[name].shape)
    return Margin(floors, strength)


def publish_ticket(
    trained: Ticket, bundle: Bundle, owner: Owner, *, accuracy: float, trial: int = 0, url: str | None = None
) -> Bundle:
    """Sign and date the release of a trained ticket.

    Args:
        trained: the signed ticket after its training.
        bundle: its credential, with the commitment.
        owner: who signs.
        accuracy: on the test images, a fraction.
        trial: number of the whitening.
        url: of a time-stamping authority.

    Raises:
        OwnershipError: the ticket was signed for another credential, or the release cannot be dated.
    """
    if trained.header.parents.get(CREDENTIAL_ROLE) != bundle.commitment_digest:
        raise OwnershipError("the trained ticket was signed for another credential")
    if trained.header.kind != "trained":
        raise OwnershipError("only a trained ticket is published; train the signed ticket first")
    if owner.key.public_key != bundle.public_key:  # before anything is logged
        raise OwnershipError("the credential belongs to another key than the one at hand")
    release = Release(
        commitment=bundle.commitment_digest,
        marked_masks=fingerprint_tensors(trained.masks),
        tensors=fingerprint_tensors(trained.state),
        ticket=trained.fingerprint,
        accuracy_ppm=round(accuracy * 1_000_000),
        trigger_root=bundle.commitment.trigger_root,
        grinding_trial=trial,
    )
    envelope = sign_release(release, hashlib.sha256(trained.to_bytes()).hexdigest(), owner.key)
    return with_release(bundle, envelope, **date_statement(envelope, owner, url))


def find_start(ticket: Ticket, dense: DenseRun) -> State:
    """Return the dense weights at the ticket's start."""
    if dense.spec != ticket.header.spec:
        raise OwnershipError(
            f"the {ticket.method} ticket is of another network than the dense run at hand; give the run of "
            "its parent"
        )
    parents = ticket.header.parents
    if parents.get("parent_run", parents.get("dense", dense.fingerprint)) != dense.fingerprint:
        raise OwnershipError(
            f"the {ticket.method} ticket was found in another dense run than the one at hand "
            f"({dense.fingerprint[:12]})"
        )
    if ticket.header.rewind_step == dense.rewind_step:
        return dense.rewind
    if ticket.header.rewind_step == 0:
        return dense.initial
    raise OwnershipError(
        f"the ticket starts at step {ticket.header.rewind_step}, but the dense run has weights of steps 0 "
        f"and {dense.rewind_step} only"
    )


def _measure_gradients(
    ticket: Ticket, images: ImageSplits, per_class: int, *, seed: int, device: str
) -> Weights:
    """Return the gradient of the mean loss at the ticket's start, pruned weights included; on the CPU."""
    place = pick_device(device)
    pixels, labels = draw_calibration(images, per_class=per_class, seed=seed, device=place)
    model, patterns = ticket.build(place), ticket.header.spec.ignore_layers
    with copied_tensors(model, None, patterns, by_batch=True) as (weights, others):
        tensors = {**others, **weights}
        losses = yield_losses(model, tensors, pixels, labels, batch_size=_BATCH, loss=cross_entropy)
        gradients = sum_gradients(losses, weights)
    return {name: gradient.detach().cpu() for name, gradient in gradients.items()}


def find_trigger_root(secrets: Secrets, images: ImageSplits, options: SignatureOptions) -> bytes:
    """Return the Merkle root of the four trigger sets."""
    return merkle_root([triggers.leaf() for triggers in draw_triggers(secrets, images, options)])


def draw_triggers(secrets: Secrets, images: ImageSplits, options: SignatureOptions) -> list[TriggerSet]:
    """Draw the four trigger sets of a credential."""
    return make_trigger_sets(
        secrets.trigger_keys, images, family=options.trigger_family, count=options.trigger_images
    )


def _join(sets: Sequence[TriggerSet]) -> ImageSet:
    return ImageSet(torch.cat([one.images for one in sets]), torch.cat([one.labels for one in sets]))


def train_signed(
    ticket: Ticket,
    images: ImageSplits,
    recipe: Recipe,
    bundle: Bundle,
    key: OwnerKey,
    options: SignatureOptions,
    *,
    trial: int = 0,
    seed: int,
    device: str = "auto",
    checkpoints: Checkpoints | None = None,
    on_record: OnRecord | None = None,
) -> Retraining:
    """Train a signed ticket with all its trigger sets, its carriers held; else as ``retrain_ticket``.

    All four sets are trained, because one that was shown to a judge is spent, and the next must still work.

    Args:
        ticket: from ``sign_ticket``.
        images: those it was made from.
        recipe: of the training.
        bundle: its credential.
        key: the owner's.
        options: of the signature.
        trial: number of the whitening.
        seed: the run's seed.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        checkpoints: where to save and resume from.
        on_record: called with every history row.
    """
    secrets = find_secrets(key, bundle.commitment)
    mark = replace(mark_of(bundle, secrets.mask_key), trial=trial)
    sets = draw_triggers(secrets, images, options) if options.triggers_per_batch else []
    return retrain_ticket(
        ticket,
        images,
        recipe,
        seed=seed,
        device=device,
        checkpoints=checkpoints,
        on_record=on_record,
        label=f"signed {ticket.method} retraining",
        extra=_join(sets) if sets else None,
        extra_per_batch=options.triggers_per_batch,
        margin=hold_carriers(ticket, mark, options.margin),
    )
