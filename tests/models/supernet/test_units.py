import time

import pytest

from lottery_pipeline.models.registry import build_model
from lottery_pipeline.models.supernet.layout import lay_out
from lottery_pipeline.models.supernet.units import describe_architecture, find_units, plan_units
from tests.models.supernet.networks import TINY, spec_of
from tests.tiny import tiny_spec

BLOCK = "network.stages.s2.branch2.block1"


def test_units_of_a_block_are_its_groups_and_its_tokens():
    model = build_model(spec_of(), seed=0, device="meta")
    groups = [group for group in find_units(model) if group.block == BLOCK]
    assert [(group.name.removeprefix(BLOCK), group.kernel, group.size) for group in groups] == [
        (".groups.k3", 3, 6),
        (".groups.k5", 5, 6),
        (".attention", 0, 3),
    ]
    assert groups[1].gamma == f"{BLOCK}.groups.k5.depthwise_norm.weight"
    assert groups[2].gamma == f"{BLOCK}.attention.norm.weight"


def test_axes_are_where_the_units_lie_and_everything_that_has_units_is_there():
    model = build_model(spec_of(), seed=0, device="meta")
    tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    for group in find_units(model):
        assert {tensors[name].shape[axis] for name, axis in group.axes.items()} == {group.size}
        own = {name for name in tensors if name.startswith(f"{group.name}.")}
        if group.kernel:
            assert own - group.axes.keys() == {name for name in own if "num_batches" in name}
        assert group.gamma in group.axes
        assert group.axes.keys() <= own
    tokens = next(group for group in find_units(model) if group.name == f"{BLOCK}.attention")
    assert {name.removeprefix(f"{tokens.name}."): axis for name, axis in tokens.axes.items()} == {
        "project.weight": 0,
        **dict.fromkeys((f"norm.{part}" for part in ("weight", "bias", "running_mean", "running_var")), 0),
        "queries": 0,
        "reverse.weight": 1,
    }


def test_without_a_decoder_there_are_no_queries_to_slice():
    attention = TINY.attention.model_copy(update={"decoder": False})
    model = build_model(spec_of(TINY.model_copy(update={"attention": attention})), seed=0, device="meta")
    assert not any(name.endswith("queries") for group in find_units(model) for name in group.axes)


@pytest.mark.parametrize("config", ["digits8", "hrnas", TINY])
def test_a_layout_alone_tells_the_units(config):
    spec = spec_of(config, 32)
    model = build_model(spec, seed=0, device="meta")
    assert plan_units(spec.supernet, lay_out(spec.supernet, (32, 32)).values()) == find_units(model)


def test_other_networks_have_no_units():
    assert find_units(build_model(tiny_spec(), seed=0, device="meta")) == []
    assert describe_architecture(build_model(tiny_spec(), seed=0, device="meta")) == ()


def test_the_architecture_of_a_network_rebuilds_it():
    spec = spec_of("digits8")
    found = describe_architecture(build_model(spec, seed=0, device="meta"))
    again = build_model(spec.model_copy(update={"architecture": found}), seed=0, device="meta")
    assert describe_architecture(again) == found
    assert found[5].model_dump() == {"block": BLOCK, "hidden": ((3, 32), (5, 32), (7, 32)), "tokens": 8}


def test_units_of_the_published_network_are_found_within_a_second():
    model = build_model(spec_of("hrnas", 224, channels=3), seed=0, device="meta")
    started = time.monotonic()
    assert sum(group.size for group in find_units(model)) == 47_952
    assert time.monotonic() - started < 1
