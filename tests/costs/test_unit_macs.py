from lottery_pipeline.costs.macs import count_macs, total_macs
from lottery_pipeline.costs.unit_macs import unit_macs
from lottery_pipeline.models.registry import build_model
from lottery_pipeline.models.supernet.units import find_units
from tests.models.supernet.networks import TINY, spec_of

BLOCK = "network.stages.s1.branch1.block1"
DOWN = "network.stages.s2.fuse.from1_to2"


def test_a_group_costs_its_chain():
    macs = unit_macs(build_model(spec_of(), seed=0, device="meta"), (1, 8, 8))
    # 4 channels, 4 hidden, 8x8 pixels; then 6 channels on 4x4 pixels
    assert macs[f"{BLOCK}.groups.k5"] == 64 * (4 * 4 + 25 * 4 + 4 * 4)
    assert macs[f"{DOWN}.groups.k3"] == 64 * 4 * 4 + 16 * (9 * 4 + 4 * 6)


def test_tokens_cost_what_grows_in_proportion_to_them():
    macs = unit_macs(build_model(spec_of(), seed=0, device="meta"), (1, 8, 8))
    # 3 tokens on a 2x2 grid: into tokens (4 maps and 2 coordinates) and back, and twice six 4x4 projections
    assert macs[f"{BLOCK}.attention"] == 4 * 3 * (6 + 4) + 2 * 6 * 3 * 4 * 4
    halved = TINY.model_copy(update={"attention": TINY.attention.model_copy(update={"tokens": 1})})
    smaller = unit_macs(build_model(spec_of(halved), seed=0, device="meta"), (1, 8, 8))
    assert 3 * smaller[f"{BLOCK}.attention"] == macs[f"{BLOCK}.attention"]


def test_units_and_products_and_what_is_not_searched_are_everything():
    model = build_model(spec_of("digits8"), seed=0, device="meta")
    macs, units = count_macs(model, (1, 8, 8)), unit_macs(model, (1, 8, 8))
    assert list(units) == [group.name for group in find_units(model)]
    fixed = sum(count for name, count in macs.items() if name.endswith((".skip.weight", "fc.weight")))
    fixed += sum(macs[f"network.{name}.weight"] for name in ("stem.conv1", "head.conv"))
    products = sum(count for name, count in macs.items() if name.endswith(".products"))
    assert sum(units.values()) + products + fixed == total_macs(macs)
