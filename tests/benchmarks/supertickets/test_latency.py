"""What is timed: networks of equal function, and one that is not, so that the comparison can fail."""

import torch

from benchmarks.supertickets.latency import build, describe, round_up
from benchmarks.supertickets.settings import SETTINGS
from lottery_pipeline.costs.macs import count_macs, total_macs
from lottery_pipeline.models.choice import specify_model
from lottery_pipeline.models.registry import build_model
from lottery_pipeline.models.supernet.units import find_units


def test_the_shrunk_network_computes_what_the_supernet_does_and_zeros_do_not():
    spec = specify_model(
        "supernet:digits8",
        ignore_layers=(),
        num_classes=10,
        channels=1,
        image_size=(8, 8),
        mean=(0.5,),
        std=(0.25,),
    )
    units = find_units(build_model(spec, seed=0))
    keep = {group.name: torch.arange(group.size) % 3 == 0 for group in units}
    keep |= {group.name: keep[group.name] & False for group in units if "s1.branch1.block1" in group.name}
    tickets = build(spec, keep)
    images = torch.rand(4, 1, 8, 8)
    with torch.no_grad():
        outputs = {name: ticket.build().eval()(images) for name, ticket in tickets.items()}
    for name in ("shrunk", "rounded"):
        torch.testing.assert_close(outputs[name], outputs["supernet"], rtol=1e-4, atol=1e-5)
    assert float((outputs["90 % zeros"] - outputs["supernet"]).abs().max()) > 0.01
    macs = {name: total_macs(count_macs(ticket.build(), (1, 8, 8))) for name, ticket in tickets.items()}
    assert macs["shrunk"] < macs["rounded"] < macs["90 % zeros"] == macs["supernet"]
    found = describe(spec, keep)
    assert (found["blocks_gone"], found["groups_gone"]) == (1, 3)
    assert found["units_left"] < found["units"] / 2.9


def test_widths_are_rounded_up_to_a_multiple_of_16_if_there_are_channels_to_add():
    keep = {
        "a": torch.arange(40) % 2 == 0,
        "b": torch.arange(20) < 17,
        "c": torch.zeros(16, dtype=torch.bool),
        "d.attention": torch.tensor([True, False]),
    }
    rounded = round_up(keep)
    assert [int(kept.sum()) for kept in rounded.values()] == [32, 20, 0, 1]
    assert all(bool((rounded[name] | ~kept).all()) for name, kept in keep.items())


def test_the_settings_are_valid_and_their_densities_are_those_of_the_supernet():
    for setting in SETTINGS.values():
        assert setting.options.density_of == "supernet"
        assert setting.recipe.epochs >= 8
