import pytest

from lottery_pipeline.models.prunable import prunable_parameters
from lottery_pipeline.models.registry import build_model
from lottery_pipeline.models.supernet.presets import PRESETS
from lottery_pipeline.models.supernet.units import find_units
from tests.models.supernet.networks import spec_of


@pytest.mark.parametrize(
    ("preset", "attention", "prunable", "units"),
    [
        ("digits8", False, 36_456, 576),
        ("digits8", True, 52_664, 616),
        ("hrnas", False, 11_454_360, 47_952),
    ],
)
def test_presets_have_the_size_that_arithmetic_gives(preset, attention, prunable, units):
    config = PRESETS[preset]
    config = config.model_copy(
        update={"attention": config.attention.model_copy(update={"enabled": attention})}
    )
    channels, size = (1, 8) if preset == "digits8" else (3, 224)
    spec = spec_of(config, size, channels=channels, num_classes=10)
    model = build_model(spec, seed=0, device="meta")
    assert sum(weight.numel() for weight in prunable_parameters(model).values()) == prunable
    assert sum(group.size for group in find_units(model)) == units


def test_one_searchable_block_has_the_size_of_its_formula():
    # digits8, 8 -> 8 channels, 16 hidden: expand and project 8 x 16 each, depthwise 9, 25 and 49 x 16.
    model = build_model(spec_of("digits8"), seed=0, device="meta")
    groups = model.get_submodule("network.stages.s1.branch1.block1.groups")
    weights = sum(weight.numel() for name, weight in groups.named_parameters() if "norm" not in name)
    assert weights == 3 * (8 * 16 + 16 * 8) + (9 + 25 + 49) * 16


@pytest.mark.parametrize("preset", list(PRESETS))
def test_the_number_of_blocks_is_not_underestimated(preset):
    config = PRESETS[preset]
    model = build_model(spec_of(config, 64), seed=0, device="meta")
    assert len({group.block for group in find_units(model)}) <= config.count_blocks()
