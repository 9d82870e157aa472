"""What the joint search is for, on small problems with wide margins."""

import pytest
import torch

from lottery_pipeline.evaluation.superticket_arms import ArmStudy, study_arms
from lottery_pipeline.images.preparation import prepare_images
from lottery_pipeline.images.request import ImageRequest
from lottery_pipeline.images.splits import ImageSet, ImageSplits, assemble_splits
from lottery_pipeline.methods.supertickets import extract_supertickets
from lottery_pipeline.models.supernet.config import Attention, Head, Stage, Supernet
from lottery_pipeline.models.supernet.presets import PRESETS
from lottery_pipeline.models.supernet.units import describe_architecture
from lottery_pipeline.options.supertickets_study import StudyOptions
from lottery_pipeline.reproducibility.seeds import make_generator
from lottery_pipeline.search.extraction import Search
from lottery_pipeline.training.dense import pretrain
from lottery_pipeline.training.recipe import Recipe
from tests.supernets import ask
from tests.tiny import spec_for

RECIPE = Recipe(learning_rate=0.1, momentum=0.9, epochs=12, batch_size=32, schedule="cosine")


def draw_noise(side: int = 10, counts: tuple[int, int, int] = (256, 32, 32)) -> ImageSplits:
    """Noise in which a pixel is of class 1 if it is bright itself: no kernel needs its neighbours."""

    def draw(part: int, count: int) -> ImageSet:
        generator = make_generator(part, "noise")
        images = torch.randint(0, 256, (count, 1, side, side), generator=generator).to(torch.uint8)
        return ImageSet(images, (images[:, 0] > 127).long())

    return assemble_splits(*(draw(part, count) for part, count in enumerate(counts)), ["dark", "bright"])


def count_left(images: ImageSplits, *, mac_weighted: bool) -> dict[int, int]:
    """Return how many hidden channels of each kernel a search leaves."""
    supernet = Supernet(
        input_stride=1,
        stem_channels=8,
        stages=(Stage(blocks=(2,), channels=(8,)),),
        kernel_sizes=(3, 7),
        expand_ratio=2,
        attention=Attention(enabled=False),
        head=Head(task="segmentation", width=8),
    )
    spec = spec_for(images, "supernet", supernet=supernet)
    dense = pretrain(images, spec, RECIPE.replace(epochs=1), rewind_epoch=0, seed=0, device="cpu")
    options = ask(density=1.0, density_of="supernet", pruning=None, search={"mac_weighted": mac_weighted})
    ticket = extract_supertickets(Search(images, dense, RECIPE, 0, device="cpu"), options).ticket
    left = {3: 0, 7: 0}
    for block in describe_architecture(ticket.build()):
        for kernel, width in block.hidden:
            left[kernel] += width
    return left


@pytest.mark.slow
def test_where_wide_kernels_are_of_no_use_a_search_that_weighs_arithmetic_removes_more_of_them():
    images = draw_noise()
    weighted, alike = (count_left(images, mac_weighted=value) for value in (True, False))
    assert weighted[7] < 0.8 * weighted[3]
    assert alike[7] > 0.8 * alike[3]


@pytest.fixture(scope="module")
def digits() -> dict[str, float]:
    """Accuracy as found, by arm; the benchmark beside has several seeds and the whole training."""
    images = prepare_images(ImageRequest(train_limit=500), seed=0)
    spec = spec_for(images, "supernet", supernet=PRESETS["digits8"])
    arms = ("two_in_one", "random_masks", "search_then_prune")
    extraction = ask(density=0.1, density_of="supernet", calibration_batches=10)
    recipe = RECIPE.replace(epochs=10, weight_decay=5e-4, warmup_epochs=1)
    options = StudyOptions(arms=arms, retrain=False)
    study = ArmStudy(images, spec, recipe, extraction, options, extract_supertickets, device="cpu")
    return {row["arm"]: row["found_accuracy"] for row in study_arms(study, seed=0)}


@pytest.mark.slow
def test_a_tenth_of_the_weights_is_far_above_chance_and_above_random_masks(digits):
    assert digits["two_in_one"] > 0.5
    assert digits["two_in_one"] > digits["random_masks"] + 0.2


@pytest.mark.slow
def test_pruning_step_by_step_leaves_a_better_network_than_all_at_once_at_the_end(digits):
    assert digits["two_in_one"] > digits["search_then_prune"] + 0.1
