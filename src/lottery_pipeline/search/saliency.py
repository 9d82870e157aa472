"""From scores at a start point to a ticket: what all methods share that do not train while they search."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from lottery_pipeline import __version__
from lottery_pipeline.images.splits import ImageSet, ImageSplits
from lottery_pipeline.models.prunable import prunable_parameters
from lottery_pipeline.models.registry import build_model
from lottery_pipeline.options import SaliencyOptions, StartOptions
from lottery_pipeline.reproducibility.checkpoints import Checkpoints
from lottery_pipeline.reproducibility.fingerprints import fingerprint, fingerprint_tensors
from lottery_pipeline.reproducibility.seeds import make_generator
from lottery_pipeline.search.extraction import Extraction, check_dense_run, start_point
from lottery_pipeline.search.score_rounds import remove_in_rounds
from lottery_pipeline.sparsity.masks import full_masks
from lottery_pipeline.sparsity.schedules import exponential_counts
from lottery_pipeline.sparsity.selection import Scores
from lottery_pipeline.tickets.ticket import make_ticket
from lottery_pipeline.training.augmentation import to_pixels
from lottery_pipeline.training.dense import DenseRun
from lottery_pipeline.training.device import pick_device


def take_pixels(images: ImageSet, indices: Tensor, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return some images as pixels in [0, 1], [n, C, H, W], and their labels [n], without augmentation."""
    chosen = images.images[indices].to(device)
    return to_pixels(chosen.permute(0, 2, 3, 1)), images.labels[indices].to(device)


def draw_calibration(
    images: ImageSplits, *, per_class: int, seed: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Draw training images, the same for every method at one seed; a small class gives all it has."""
    labels = images.train.labels.cpu()
    chosen = []
    for label in range(images.num_classes):
        members = (labels == label).nonzero().squeeze(1)
        order = torch.randperm(len(members), generator=make_generator(seed, "calibration", label))
        chosen.append(members[order[:per_class]])
    indices = torch.cat(chosen)
    # Mixed, so that a micro-batch has the batch statistics of all classes and not of one.
    order = torch.randperm(len(indices), generator=make_generator(seed, "calibration", "order"))
    return take_pixels(images.train, indices[order], device)


def extract_by_gradients(
    method: str,
    score: Callable[..., Scores],
    images: ImageSplits,
    dense: DenseRun,
    options: SaliencyOptions,
    *,
    passes: float,
    seed: int,
    device: str,
    checkpoints: Checkpoints | None,
    allow_factory: str | None,
) -> Extraction:
    """Make a ticket from scores of calibration images; else as ``extract_by_scores``.

    Args:
        method: its name.
        score: ``snip_scores`` or another function of the same arguments.
        images: what the dense run was trained on.
        dense: gives the start point.
        options: of the method.
        passes: cost of one round in passes, forward and backward, over the calibration images.
        seed: of the images.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        checkpoints: where unfinished rounds are kept.
        allow_factory: the trusted ``package.module:factory``, where the model is one.
    """
    chosen = pick_device(device)
    pixels, labels = draw_calibration(images, per_class=options.images_per_class, seed=seed, device=chosen)
    return extract_by_scores(
        method,
        partial(
            score,
            images=pixels,
            labels=labels,
            ignore_layers=dense.spec.ignore_layers,
            batch_size=options.batch_size,
            batch_statistics=options.batch_statistics,
        ),
        images,
        dense,
        options,
        rounds=options.rounds,
        images_per_round=passes * len(labels),
        seed=seed,
        device=device,
        checkpoints=checkpoints,
        allow_factory=allow_factory,
    )


def extract_by_scores(
    method: str,
    score: Callable[..., Scores],
    images: ImageSplits,
    dense: DenseRun,
    options: StartOptions,
    *,
    rounds: int = 1,
    images_per_round: float,
    seed: int,
    device: str,
    checkpoints: Checkpoints | None,
    allow_factory: str | None,
) -> Extraction:
    """Make a ticket in rounds: score the masked network, keep the highest, exponentially fewer every time.

    Args:
        method: its name.
        score: called as ``score(model, masks=masks)`` with the model at the start point.
        images: what the dense run was trained on.
        dense: gives the start point.
        options: density and start point.
        rounds: n; round r leaves floor(density**(r / n) D) weights, out of those of round r - 1.
        images_per_round: cost of one round, in images that a training step goes forward and backward with.
        seed: of the run.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        checkpoints: where unfinished rounds are kept.
        allow_factory: the trusted ``package.module:factory``, where the model is one.

    Returns:
        The ticket; its trace has a row per round. ``scores`` are those of the only round; of several rounds
        they are ranks from 1, the first removed, to D: by rounds survived, then by the last score. At density
        1 nothing is scored and they are None.

    Raises:
        TicketError: the dense run is of other images.
        DensityError: the density keeps no weight.
    """
    check_dense_run(dense, images)
    step, state = start_point(dense, options.start)
    model = build_model(dense.spec, seed=0, allow_factory=allow_factory)
    model.load_state_dict(state)
    masks = full_masks(prunable_parameters(model.to(pick_device(device)), dense.spec.ignore_layers))
    prunable = sum(mask.numel() for mask in masks.values())
    counts = exponential_counts(prunable, density=options.density, rounds=rounds)
    if options.density == 1:
        counts = []
    found = remove_in_rounds(
        method,
        lambda remaining: score(model, masks=remaining),
        masks,
        counts,
        fingerprint=fingerprint(
            {
                "computation": method,
                "version": __version__,
                "dense": dense.fingerprint,
                "images": images.fingerprint,
                "state": fingerprint_tensors(state),
                "options": options.model_dump(mode="json"),
                "seed": seed,
            }
        ),
        checkpoints=checkpoints,
    )
    ticket = make_ticket(
        method=method,
        spec=dense.spec,
        masks=found.masks,
        state=state,
        seed=seed,
        rewind_step=step,
        parents={"dense": dense.fingerprint, "images": images.fingerprint},
        allow_factory=allow_factory,
    )
    return Extraction(
        ticket=ticket,
        search_epochs=len(counts) * images_per_round / len(images.train),
        search_seconds=found.seconds,
        trace=[{"round": number, "kept": kept} for number, kept in enumerate(counts, start=1)],
        scores=found.final_scores(),
    )
