"""Images of three tasks with the same pixels, a SuperTicket for each, and a study of transfer."""

from dataclasses import replace
from itertools import permutations
from typing import Any

import torch

from lottery_pipeline.evaluation.transfer_rows import TransferStudy
from lottery_pipeline.images.splits import ImageSet, ImageSplits, assemble_splits
from lottery_pipeline.models.registry import build_model
from lottery_pipeline.models.spec import ModelSpec
from lottery_pipeline.models.supernet.config import Attention, Head, Stage, Supernet
from lottery_pipeline.options import SuperticketOptions
from lottery_pipeline.options.supertickets_transfer import TransferOptions
from lottery_pipeline.reproducibility.seeds import make_generator
from lottery_pipeline.search.extraction import Extraction, Search
from lottery_pipeline.surgery.units import keep_units
from lottery_pipeline.tickets.ladder import make_ladder
from lottery_pipeline.tickets.ticket import Ticket, make_ticket
from lottery_pipeline.training.recipe import Recipe
from tests.supernets import ask
from tests.tiny import draw_masks, spec_for
from tests.training.tiny import tiny_dense_images

TASKS = ("classification", "segmentation", "keypoints")
PAIRS = list(permutations(TASKS, 2))
SUPERNET = Supernet(
    input_stride=1,
    stem_channels=4,
    stages=(Stage(blocks=(1,), channels=(4,)),),
    kernel_sizes=(3, 5),
    expand_ratio=1,
    attention=Attention(tokens=2, grid=2),
    head=Head(task="segmentation", width=5),
)
RECIPE = Recipe(
    learning_rate=0.05, momentum=0.9, epochs=3, batch_size=9, schedule="cosine"
)  # 2 steps an epoch


def draw_tasks(**options: int) -> dict[str, ImageSplits]:
    """A bright square in noise: whether it is on the left, its pixels, and two of its corners."""
    segmentation, keypoints = (tiny_dense_images(task, **options) for task in TASKS[1:])

    def classify(part: ImageSet) -> ImageSet:
        return replace(part, labels=(part.labels[:, 0, 0] > 40).long())

    parts = (classify(part) for part in (keypoints.train, keypoints.validation, keypoints.test))
    classification = assemble_splits(*parts, ["left", "right"])
    return dict(zip(TASKS, (classification, segmentation, keypoints), strict=True))


def specify(images: ImageSplits) -> ModelSpec:
    return spec_for(images, "supernet", supernet=SUPERNET.for_task(images.task))


def draw_superticket(images: ImageSplits, *, whole: bool = False) -> Ticket:
    """A ticket as a search could leave it: units are gone from backbone and head, unless it is whole."""
    spec = specify(images)
    head = "network.head.widen1" if images.task == "classification" else "network.head.transform"
    keep = {
        "network.stages.s1.branch1.block1.groups.k3": torch.tensor([True, False, True, True]),
        "network.stages.s1.branch1.block1.groups.k5": torch.zeros(4, dtype=torch.bool),
        f"{head}.groups.k5": torch.tensor([False, True, True, True]),
    }
    if not whole:
        spec = keep_units(spec, keep)
    state = build_model(spec, seed=3).state_dict()
    generator = make_generator(0, "statistics")  # a trained network has statistics of its own
    for name, tensor in state.items():
        if name.endswith("running_mean"):
            state[name] = torch.randn(tensor.shape, generator=generator)
    return make_ticket(
        method="supertickets",
        spec=spec,
        masks=draw_masks(state, density=0.5),
        state=state,
        seed=0,
        rewind_step=0,
        parents={"dense": "a" * 64, "images": images.fingerprint},
    )


def find_at_once(search: Search, options: SuperticketOptions) -> Extraction:
    """Stand in for the joint search: the ticket is drawn, and nothing is trained."""
    ticket = draw_superticket(search.images)
    ladder = make_ladder(
        method="supertickets",
        spec=ticket.header.spec,
        survived={name: mask.to(torch.uint8) for name, mask in ticket.masks.items()},
        state=build_model(ticket.header.spec, seed=3).state_dict(),
        counts=[ticket.prunable, ticket.kept],
        rows=[],
        seed=0,
        rewind_step=0,
        parents=ticket.header.parents,
    )
    return Extraction(ticket, 0.0, 0.0, ladder=ladder)


def make_study(
    images: dict[str, ImageSplits], *, extract: Any = find_at_once, **options: Any
) -> TransferStudy:
    extraction = ask(search={"rho": 0.0}, density=0.4)
    spec, chosen = specify(images["segmentation"]), TransferOptions(**options)
    return TransferStudy(images, spec, RECIPE, extraction, chosen, extract, device="cpu")
