"""Tiny images, models and dense runs for the tests of tickets."""

from dataclasses import replace

import torch
from torch import Tensor

from lottery_pipeline.images.splits import ImageSet, ImageSplits, assemble_splits
from lottery_pipeline.methods import METHODS
from lottery_pipeline.models.registry import build_model
from lottery_pipeline.models.spec import ModelSpec
from lottery_pipeline.options import ImpOptions
from lottery_pipeline.reproducibility.checkpoints import Checkpoints
from lottery_pipeline.reproducibility.seeds import make_generator
from lottery_pipeline.search.extraction import Extraction, Search
from lottery_pipeline.tickets.ladder import Ladder
from lottery_pipeline.tickets.ticket import Ticket, make_ticket
from lottery_pipeline.training.dense import DenseRun, pretrain
from lottery_pipeline.training.history import CLOCK_COLUMNS
from lottery_pipeline.training.recipe import Recipe
from lottery_pipeline.training.result import OnLabelledRecord


def draw_images(
    *, side: int = 4, counts: tuple[int, int, int] = (40, 20, 20), classes: int = 3, seed: int = 0
) -> ImageSplits:
    """One bright row in noise; its height is the class."""

    def draw(part: int, count: int) -> ImageSet:
        generator = make_generator(seed, "tiny", part)
        labels = torch.arange(count) % classes
        images = torch.randint(0, 120, (count, 1, side, side), generator=generator, dtype=torch.uint8)
        for index, label in enumerate(labels.tolist()):
            images[index, 0, label * (side - 1) // (classes - 1)] += 100
        return ImageSet(images, labels)

    parts = [draw(part, count) for part, count in enumerate(counts)]
    return assemble_splits(*parts, [f"row {label}" for label in range(classes)], source="tiny")


def spec_for(images: ImageSplits, name: str = "lenet_300_100", **changes: object) -> ModelSpec:
    return ModelSpec(
        name=name,
        num_classes=images.num_classes,
        channels=images.channels,
        image_size=images.image_size,
        mean=images.mean,
        std=images.std,
        **changes,
    )


def tiny_spec(name: str = "lenet_300_100", *, width: int = 4, **changes: object) -> ModelSpec:
    return ModelSpec(
        name=name,
        num_classes=3,
        channels=1,
        image_size=(width, width),
        mean=(0.5,),
        std=(0.25,),
        **changes,
    )


def draw_masks(state: dict[str, Tensor], *, seed: int = 0, density: float = 0.2) -> dict[str, Tensor]:
    generator = make_generator(seed, "masks")
    return {
        name: torch.rand(tensor.shape, generator=generator) < density
        for name, tensor in state.items()
        if name.endswith("weight") and tensor.dim() > 1
    }


def draw_ticket(name: str = "lenet_300_100", *, width: int = 3, seed: int = 0, **changes: object) -> Ticket:
    spec = tiny_spec(name, width=width)
    state = build_model(spec, seed=seed).state_dict()
    values = {
        "method": "ltr",
        "spec": spec,
        "masks": draw_masks(state, seed=seed),
        "state": state,
        "seed": seed,
        "rewind_step": 5,
        "parents": {"dense": "a" * 64, "images": "b" * 64},
        **changes,
    }
    return make_ticket(**values)


OWN_MODEL = "tests.own_model:build"
RECIPE = Recipe(learning_rate=0.1, epochs=3, batch_size=20, weight_decay=1e-3)  # 2 steps an epoch


def pretrain_tiny(
    images: ImageSplits,
    name: str = OWN_MODEL,
    recipe: Recipe = RECIPE,
    *,
    rewind_epoch: float = 1.0,
    seed: int = 0,
) -> DenseRun:
    return pretrain(
        images,
        spec_for(images, name),
        recipe,
        rewind_epoch=rewind_epoch,
        seed=seed,
        device="cpu",
        allow_factory=name,
    )


def same_bits(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    """Same names in the same order, same dtypes, same bits."""
    return list(first) == list(second) and all(
        tensor.dtype == second[name].dtype
        and torch.equal(
            tensor.contiguous().reshape(-1).view(torch.uint8),
            second[name].contiguous().reshape(-1).view(torch.uint8),
        )
        for name, tensor in first.items()
    )


def without_clock(ladder: Ladder) -> bytes:
    """The ladder's file with all seconds set to 0."""
    rows = tuple(row.model_copy(update={"seconds": 0.0}) for row in ladder.header.rows)
    return replace(ladder, header=ladder.header.model_copy(update={"rows": rows})).to_bytes()


def find(
    method: str,
    images: ImageSplits,
    dense: DenseRun,
    options: object,
    recipe: Recipe = RECIPE,
    *,
    seed: int = 0,
    **given: object,
) -> Extraction:
    """Run a method on the CPU; ``given`` are further fields of ``Search``."""
    return METHODS[method](search_for(images, dense, recipe, seed=seed, **given), options)


def search_for(
    images: ImageSplits, dense: DenseRun, recipe: Recipe = RECIPE, *, seed: int = 0, **given: object
) -> Search:
    return Search(images, dense, recipe, seed, **{"device": "cpu", "allow_factory": OWN_MODEL, **given})


def extract(
    method: str,
    images: ImageSplits,
    dense: DenseRun,
    recipe: Recipe = RECIPE,
    *,
    seed: int = 0,
    checkpoints: Checkpoints | None = None,
    on_record: OnLabelledRecord | None = None,
    **options: object,
) -> Extraction:
    """Run IMP on the CPU; four rounds at rate 0.4 unless told otherwise."""
    chosen = ImpOptions(**(options or {"rounds": 4, "rate": 0.4}))
    return find(
        method, images, dense, chosen, recipe, seed=seed, checkpoints=checkpoints, on_record=on_record
    )


def start_of(method: str, dense: DenseRun) -> dict[str, Tensor]:
    return dense.initial if method == "lth" else dense.rewind


def timeless(rows: list[dict]) -> list[dict]:
    return [{key: row[key] for key in row if key not in CLOCK_COLUMNS} for row in rows]


def must_not_train(*_args: object, **_kwargs: object) -> None:
    raise AssertionError("nothing may be trained")
