"""From scores at a start point to a ticket: shared by all methods that do not train while they search."""

from collections.abc import Callable
from functools import partial

from lottery_pipeline.models.prunable import prunable_parameters
from lottery_pipeline.options import SaliencyOptions, StartOptions
from lottery_pipeline.reproducibility.fingerprints import fingerprint_tensors
from lottery_pipeline.search.calibration import draw_calibration
from lottery_pipeline.search.extraction import Extraction, Search
from lottery_pipeline.search.score_rounds import remove_in_rounds
from lottery_pipeline.sparsity.masks import full_masks
from lottery_pipeline.sparsity.schedules import exponential_counts
from lottery_pipeline.sparsity.selection import Scores


def extract_by_gradients(
    method: str, score: Callable[..., Scores], search: Search, options: SaliencyOptions, *, passes: float
) -> Extraction:
    """Make a ticket from scores of calibration images; otherwise like ``extract_by_scores``.

    Args:
        method: its name.
        score: ``snip_scores`` or another function of the same arguments.
        search: what the search is given.
        options: the method's options.
        passes: cost of one round in passes, forward and backward, over the calibration images.
    """
    per_class = options.images_per_class
    images, labels = draw_calibration(
        search.images, per_class=per_class, seed=search.seed, device=search.place
    )
    score = partial(
        score,
        images=images,
        labels=labels,
        batch_size=options.batch_size,
        batch_statistics=options.batch_statistics,
    )
    cost = passes * len(labels)
    return extract_by_scores(method, score, search, options, rounds=options.rounds, images_per_round=cost)


def extract_by_scores(
    method: str,
    score: Callable[..., Scores],
    search: Search,
    options: StartOptions,
    *,
    rounds: int = 1,
    images_per_round: float = 0.0,
) -> Extraction:
    """Make a ticket in rounds: score the masked network, keep the highest, exponentially fewer every time.

    Args:
        method: its name.
        score: called as ``score(model, masks=masks, ignore_layers=patterns)``, with the model at the start
            point.
        search: what the search is given.
        options: density and start point.
        rounds: n; round r leaves floor(density**(r / n) D) weights, out of those of round r - 1.
        images_per_round: cost of one round, in images of a training step, forward and backward.

    Returns:
        The ticket; its trace has a row per round. After one round ``scores`` are the scores of that round.
        After several they are ranks from 1, the first removed, to D: by rounds survived, then by the last
        score. At density 1 nothing is scored and they are None.

    Raises:
        DensityError: the density keeps no weight.
    """
    start, ignored = search.start(options.start), search.dense.spec.ignore_layers
    model = search.build(start.state).to(search.place)
    masks = full_masks(prunable_parameters(model, ignored))
    prunable = sum(mask.numel() for mask in masks.values())
    counts = exponential_counts(prunable, density=options.density, rounds=rounds)
    if options.density == 1:
        counts = []
    found = remove_in_rounds(
        method,
        lambda remaining: score(model, masks=remaining, ignore_layers=ignored),
        masks,
        counts,
        fingerprint=search.fingerprint(
            method, state=fingerprint_tensors(start.state), options=options.model_dump(mode="json")
        ),
        checkpoints=search.checkpoints,
    )
    return Extraction(
        ticket=search.make_ticket(method, found.masks, start),
        search_epochs=len(counts) * images_per_round / len(search.images.train),
        search_seconds=found.seconds,
        trace=[{"round": number, "kept": kept} for number, kept in enumerate(counts, start=1)],
        rank=found.final_scores,
    )
