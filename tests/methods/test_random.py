import math
from dataclasses import replace

import pytest
import torch

from lottery_pipeline.methods.random import extract_random, random_scores
from lottery_pipeline.models.registry import build_model
from lottery_pipeline.options import RandomOptions
from lottery_pipeline.search.extraction import Search
from lottery_pipeline.sparsity import (
    DensityError,
    allocate_erk,
    allocate_smart_ratio,
    allocate_uniform,
    keep_top_k,
)
from tests.tiny import OWN_MODEL, RECIPE, draw_images, pretrain_tiny, same_bits, spec_for

SHAPES = {"conv1": (8, 3, 3, 3), "conv2": (16, 8, 3, 3), "fc": (10, 16)}
WEIGHTS = {name: torch.empty(shape, device="meta") for name, shape in SHAPES.items()}
SIZES = {name: math.prod(shape) for name, shape in SHAPES.items()}
COUNTS = {
    "uniform": allocate_uniform(SIZES, 300),
    "erk": allocate_erk(SHAPES, 300),
    "smart_ratio": allocate_smart_ratio(SHAPES, 300),
}


@pytest.fixture(scope="module")
def images():
    return draw_images()


@pytest.fixture(scope="module")
def dense(images):
    return pretrain_tiny(images)


def extract(images, dense, density, *, seed=0, **options):
    return extract_random(
        Search(images, dense, RECIPE, seed=seed, device="cpu", allow_factory=OWN_MODEL),
        RandomOptions(density=density, **options),
    )


@pytest.mark.parametrize("allocation", COUNTS)
def test_layers_keep_what_the_allocation_gives_them(allocation):
    scores = random_scores(WEIGHTS, 300, seed=0, allocation=allocation)
    masks = keep_top_k(scores, 300)
    assert {name: int(mask.sum()) for name, mask in masks.items()} == COUNTS[allocation]
    assert all(bool((scores[name] >= 1).eq(mask).all()) for name, mask in masks.items())


def test_a_global_draw_keeps_every_weight_with_the_same_chance():
    kept = torch.zeros(sum(SIZES.values()))
    for seed in range(400):
        masks = keep_top_k(random_scores(WEIGHTS, 382, seed=seed, allocation="global"), 382)
        kept += torch.cat([mask.flatten() for mask in masks.values()])
    share = 382 / sum(SIZES.values())
    assert abs(float(kept[:216].mean()) / 400 - share) < 0.01
    assert abs(float(kept[-160:].mean()) / 400 - share) < 0.01
    assert float(kept.min()) > 0
    assert float(kept.max()) < 400 * 2 * share


def test_layers_of_one_shape_get_different_masks():
    twins = {"a": torch.empty(6, 6), "b": torch.empty(6, 6)}
    masks = keep_top_k(random_scores(twins, 36, seed=0, allocation="uniform"), 36)
    assert not torch.equal(masks["a"], masks["b"])


@pytest.mark.parametrize("allocation", ["global", "uniform", "erk"])
@pytest.mark.parametrize("density", [1.0, 0.5, 0.05, 1 / 194 + 1e-9])
def test_exactly_k_weights_are_kept(images, dense, allocation, density):
    found = extract(images, dense, density, allocation=allocation)
    assert found.ticket.kept == math.floor(density * 194)
    assert found.ticket.method == "random"
    assert found.search_epochs == 0


def test_the_seed_decides_and_the_random_state_stays(images, dense):
    before = torch.get_rng_state()
    first, again, other = (extract(images, dense, 0.3, seed=seed).ticket for seed in (1, 1, 2))
    assert first.to_bytes() == again.to_bytes()
    assert not same_bits(first.masks, other.masks)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_scores_of_an_extraction_make_its_mask(images, dense):
    for allocation in ("global", "uniform", "erk"):
        found = extract(images, dense, 0.3, allocation=allocation)
        assert same_bits(keep_top_k(found.scores, found.ticket.kept), found.ticket.masks)


@pytest.mark.parametrize(("name", "vgg"), [("resnet20", False), ("vgg16", True)])
def test_smart_ratios_divide_by_the_square_of_the_layer_for_vgg_alone(name, vgg, dense, monkeypatch):
    images = draw_images(side=16, counts=(4, 4, 4))
    spec = spec_for(images, name)
    start = build_model(spec, seed=0).state_dict()
    network = replace(dense, spec=spec, initial=start, images_fingerprint=images.fingerprint)
    asked = []

    def spy(shapes, k, **options):
        asked.append((k, options))
        raise DensityError("seen")

    monkeypatch.setattr("lottery_pipeline.methods.random.allocate_smart_ratio", spy)
    with pytest.raises(DensityError, match="seen"):
        extract(images, network, 0.1, allocation="smart_ratio")
    sizes = (mask.numel() for key, mask in start.items() if key.endswith("weight") and mask.dim() > 1)
    assert asked == [(sum(sizes) // 10, {"vgg": vgg})]


def test_smart_ratios_without_a_convolution_are_an_error_except_at_density_1(images, dense):
    assert extract(images, dense, 1.0, allocation="smart_ratio").ticket.kept == 194
    with pytest.raises(DensityError, match="smart ratios need a convolution"):
        extract(images, dense, 0.5, allocation="smart_ratio")
