"""From the options of a mask search to its ticket: what CTS, edge-popup and Gem-Miner have in common."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn

from lottery_pipeline.images.splits import ImageSplits
from lottery_pipeline.models.prunable import prunable_parameters
from lottery_pipeline.options import SEARCH_LENGTHS, TRAINING_PASSES, MaskSearchOptions
from lottery_pipeline.reproducibility.checkpoints import Checkpoints
from lottery_pipeline.reproducibility.fingerprints import fingerprint_tensors
from lottery_pipeline.reproducibility.seeds import derive_seed
from lottery_pipeline.search.extraction import Extraction, Search, StartPoint
from lottery_pipeline.search.gated import GatedNetwork
from lottery_pipeline.search.scoring import batch_statistics
from lottery_pipeline.search.search_loop import Learner, SearchLoop, SearchResult
from lottery_pipeline.sparsity.allocation import allocate_uniform, kept_count
from lottery_pipeline.sparsity.masks import full_masks
from lottery_pipeline.sparsity.selection import keep_top_k
from lottery_pipeline.training.collectives import check_batch
from lottery_pipeline.training.device import fastest_convolutions, keep_freed_memory, pick_device
from lottery_pipeline.training.parallel import call, find_own_device
from lottery_pipeline.training.recipe import Recipe
from lottery_pipeline.training.result import OnLabelledRecord, State

_DROP_AT = 0.88


def search_mask(
    method: str,
    make_learner: Callable[[GatedNetwork, Recipe, int], Learner],
    search: Search,
    options: MaskSearchOptions,
    *,
    recipe: Mapping[str, Any],
    passes: float = TRAINING_PASSES,
    scope: Literal["global", "layer"] = "global",
    change_weights: Callable[[Tensor], Tensor] = torch.clone,
    affine: bool = True,
) -> Extraction:
    """Learn a mask on frozen weights.

    Batch norm normalises by the batch, and its running statistics stay as they are. At density 1 there is
    nothing to search.

    Args:
        method: its name.
        make_learner: called as ``make_learner(network, recipe of the search, seed)``.
        search: what the search is given.
        options: the method's options.
        recipe: optimiser, schedule and so on for what is learnt.
        passes: cost of a step in forward passes; a training step has three.
        scope: which weights are ranked together at the end.
        change_weights: changes the prunable start weights before the search; the ticket has the changed ones.
        affine: whether batch norm keeps its weight and bias during the search.

    Raises:
        DensityError: the density keeps no weight.
        DivergenceError: a number of the search is not finite.
        ParallelError: another process has ended, does not answer, or has found something else.
    """
    images, ignored, place = search.images, search.dense.spec.ignore_layers, search.place
    start = search.start(options.start)
    model = search.build(start.state)
    with torch.no_grad():
        weights = prunable_parameters(model, ignored)
        for weight in weights.values():
            weight.copy_(change_weights(weight))
    state: State = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    sizes = {name: weight.numel() for name, weight in weights.items()}
    kept = kept_count(options.density, sum(sizes.values()))
    masks = full_masks(weights)
    scores, trace, cost, seconds = None, [], 0.0, 0.0
    if options.density < 1:
        own = search_recipe(options, search.recipe, len(images.train), recipe)
        check_batch(f"{method} search", min(own.batch_size, len(images.train)))
        learn = partial(
            learn_scores,
            make_learner=make_learner,
            ignore_layers=ignored,
            affine=affine,
            seed=search.seed,
            method=method,
            device=place,
            fingerprint=search.fingerprint(
                method,
                state=fingerprint_tensors(state),
                recipe=own.record(),
                options=options.model_dump(mode="json"),
            ),
        )
        scores, found = call(
            learn, images, model, own, checkpoints=search.checkpoints, on_record=search.on_record
        )
        counts = kept if scope == "global" else allocate_uniform(sizes, kept)
        masks = keep_top_k(scores, counts, scope=scope)
        trace, seconds = found.trace, found.seconds
        cost = found.epochs * passes / TRAINING_PASSES
    ticket = search.make_ticket(method, masks, StartPoint(start.step, state))
    return Extraction(ticket, search_epochs=cost, search_seconds=seconds, trace=trace, rank=lambda: scores)


def learn_scores(
    images: ImageSplits,
    model: nn.Module,
    recipe: Recipe,
    *,
    make_learner: Callable[[GatedNetwork, Recipe, int], Learner],
    ignore_layers: tuple[str, ...],
    affine: bool,
    seed: int,
    method: str,
    device: torch.device,
    fingerprint: str,
    checkpoints: Checkpoints | None = None,
    on_record: OnLabelledRecord | None = None,
) -> tuple[dict[str, Tensor], SearchResult]:
    """Search on this process, one of those that search together or the only one; return the scores."""
    place = pick_device(find_own_device(device))
    model.to(place)
    network = GatedNetwork(model, ignore_layers, recipe.precision, affine=affine)
    learner = make_learner(network, recipe, derive_seed(seed, method))
    loop = SearchLoop(
        learner,
        images,
        recipe,
        seed=derive_seed(seed, method, "order"),
        device=place,
        normalise=network.normalise,
        fingerprint=fingerprint,
        checkpoints=checkpoints,
        on_record=on_record,
        label=f"{method} search",
    )
    if place.type == "cpu":
        keep_freed_memory()
    with batch_statistics(model), fastest_convolutions(place):
        found = loop.to_the_end()
    return {name: part.detach().cpu() for name, part in network.split(learner.scores).items()}, found


def search_recipe(
    options: MaskSearchOptions, recipe: Recipe, images: int, changes: Mapping[str, Any]
) -> Recipe:
    """Return the recipe of a search: no augmentation, its length counted in epochs of the training.

    Args:
        options: the search's options.
        recipe: the training's recipe; ``short``, ``half`` and ``long`` are parts of its epochs.
        images: number of training images.
        changes: optimiser, schedule and so on. A ``step`` schedule without milestones drops at round(0.88 E)
            of E epochs, or at 0.88 E if rounding would move that to either end of the search.
    """
    epochs = recipe.total_steps(images) / recipe.steps_per_epoch(images)
    length = options.length
    epochs = SEARCH_LENGTHS[length] * epochs if isinstance(length, str) else length
    batch_size = options.batch_size or recipe.batch_size
    per_epoch = Recipe(epochs=1, batch_size=batch_size).steps_per_epoch(images)
    steps = max(1, round(epochs * per_epoch))
    values = {
        "learning_rate": options.learning_rate,
        "iterations": steps,
        "batch_size": batch_size,
        "precision": options.precision,
        "graph": recipe.graph,
        **changes,
    }
    if values.get("schedule") == "step" and "milestones" not in values:
        drop = round(_DROP_AT * steps / per_epoch)
        inside = 0 < drop * per_epoch < steps
        values["milestones"] = (drop if inside else _DROP_AT * steps / per_epoch,)
    return Recipe(**values)
