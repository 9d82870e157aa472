import math

import pytest

from lottery_pipeline.methods.imp.rungs import match_rates, plan_rungs, total
from lottery_pipeline.options import ImpOptions
from lottery_pipeline.sparsity.allocation import DensityError
from lottery_pipeline.tickets.errors import TicketError

LENET = {"network.fc1.weight": 235_200, "network.fc2.weight": 30_000, "network.fc.weight": 1_000}
PUBLISHED = [80.0, 64.1, 51.3, 41.1, 32.9, 26.3, 21.1, 16.9, 13.5, 10.8, 8.7, 6.9, 5.6, 4.5, 3.6]


def test_lenet_layer_wise_gives_the_published_densities():
    options = ImpOptions(rounds=15, scope="layer", layer_rates={"fc": 0.1})
    rungs = plan_rungs(options, LENET)
    assert rungs[0] == {"network.fc1.weight": 188_160, "network.fc2.weight": 24_000, "network.fc.weight": 900}
    # The twelfth is 6.952 %, which the published list rounds down.
    assert [100 * total(rung) / 266_200 for rung in rungs] == pytest.approx(PUBLISHED, abs=0.053)


def test_global_rounds_keep_the_floor_of_the_power():
    rungs = plan_rungs(ImpOptions(rounds=22), {"a": 270_896})
    assert rungs == [math.floor(0.8**rung * 270_896) for rung in range(1, 23)]
    assert rungs[-1] == 1_998


def test_a_density_ends_the_ladder_exactly():
    assert plan_rungs(ImpOptions(density=0.5), {"a": 600, "b": 400}) == [800, 640, 500]


def test_density_one_needs_no_rounds():
    for scope in ("global", "layer"):
        assert plan_rungs(ImpOptions(density=1.0, scope=scope, rate=0.0), LENET) == []
    assert plan_rungs(ImpOptions(rounds=0), LENET) == []


def test_one_shot_goes_to_the_last_rung_at_once():
    for options in ({"density": 0.1}, {"rounds": 5}, {"rounds": 5, "scope": "layer"}):
        step_by_step = plan_rungs(ImpOptions(**options), LENET)
        assert len(step_by_step) > 1
        assert plan_rungs(ImpOptions(**options, one_shot=True), LENET) == step_by_step[-1:]


LEAST = 1 / 266_200


@pytest.mark.parametrize(
    ("rates", "densities"),
    [
        ({}, [0.9, 0.5, 0.107, 0.1073, 0.036, 0.001, LEAST]),
        ({"fc": 0.1}, [0.9, 0.5, 0.107, 0.1073, 0.036, 0.001, LEAST]),
        ({"fc1": 0.5, "fc": 0.0}, [0.9, 0.5, 0.107, 0.1073, 0.036, 0.0038]),  # fc alone is 0.00376
    ],
)
def test_a_density_is_met_exactly_layer_by_layer_and_rungs_are_nested(rates, densities):
    for density in densities:
        check_layer_ladder(rates, density)


def check_layer_ladder(rates, density):
    rungs = plan_rungs(ImpOptions(density=density, scope="layer", layer_rates=rates), LENET)
    assert total(rungs[-1]) == max(1, math.floor(density * 266_200 + 1e-6))
    for above, below in zip([LENET, *rungs], rungs, strict=False):
        assert all(0 <= below[name] <= above[name] for name in LENET)
        assert total(below) <= total(above)


def test_layer_wise_takes_as_many_rounds_as_global():
    for density in (0.107, 0.11, 0.1):
        layer = plan_rungs(ImpOptions(density=density, scope="layer"), LENET)
        assert len(layer) == len(plan_rungs(ImpOptions(density=density), LENET)) == 10


def test_patterns_match_with_and_without_the_prefix_and_the_first_one_counts():
    names = list(LENET)
    for pattern in ("fc", "network.fc", "network.fc.weight", "f[c]"):
        assert match_rates(ImpOptions(rounds=1, scope="layer", layer_rates={pattern: 0.1}), names) == {
            "network.fc1.weight": 0.2,
            "network.fc2.weight": 0.2,
            "network.fc.weight": 0.1,
        }
    options = ImpOptions(rounds=1, scope="layer", layer_rates={"fc2": 0.3, "fc*": 0.4})
    assert list(match_rates(options, names).values()) == [0.4, 0.3, 0.4]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"density": 1e-6}, DensityError, "keeps none of 266200"),
        ({"density": 1e-6, "scope": "layer"}, DensityError, "keeps none of 266200"),
        ({"rounds": 200}, DensityError, "none of 266200"),
        (
            {"rounds": 1, "scope": "layer", "layer_rates": {"x*": 0.1}},
            TicketError,
            "matches no prunable layer",
        ),
        ({"density": 0.001, "scope": "layer", "layer_rates": {"fc": 0.0}}, TicketError, "out of reach"),
    ],
)
def test_a_ladder_that_leads_nowhere_is_refused(options, error, message):
    with pytest.raises(error, match=message):
        plan_rungs(ImpOptions(**options), LENET)
