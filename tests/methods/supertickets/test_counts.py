"""What a supernet holds, and what can be left of it."""

import pytest

from lottery_pipeline.methods.supertickets.counts import (
    check_budget,
    count_kept,
    count_weights,
    find_unmet_minimum,
    price_supernet,
)
from lottery_pipeline.models.registry import build_model
from lottery_pipeline.options.supertickets import UnitSearchOptions, WeightPruningOptions
from lottery_pipeline.sparsity.allocation import DensityError
from lottery_pipeline.tickets.errors import TicketError
from tests.supernets import ask, supernet_spec
from tests.tiny import draw_images

SIZES = {"a": 100, "b": 10}


@pytest.mark.parametrize(
    ("options", "kept"),
    [({"density": 0.5}, 55), ({"density": 1.0}, 110), ({"density": 0.5, "pruning": None}, 110)],
)
def test_k_is_a_share_of_all_weights_or_all_of_them_without_pruning(options, kept):
    assert count_kept(ask(**options), SIZES, None) == kept


def test_a_density_that_keeps_nothing_or_has_nothing_to_count_is_refused():
    with pytest.raises(DensityError, match="keeps none of 110"):
        count_kept(ask(0.001), SIZES, None)
    with pytest.raises(TicketError, match="no other network"):
        count_kept(ask(0.5, density_of="model"), SIZES, None)


@pytest.mark.parametrize(("least", "needed"), [(0, 0), (1, 2), (10, 20), (50, 60), (1000, 110)])
def test_a_minimum_counts_no_more_weights_than_a_layer_has(least, needed):
    pruning = WeightPruningOptions(min_keep_per_layer=least)
    assert find_unmet_minimum(pruning, SIZES, needed) is None
    if needed:
        assert f"takes {needed} weights of the 2 layers together, but only {needed - 1} are kept" in (
            find_unmet_minimum(pruning, SIZES, needed - 1) or ""
        )


def test_counting_without_arithmetic_gives_the_same_prices_and_sizes():
    spec = supernet_spec(draw_images(side=8))
    whole, empty = build_model(spec, seed=0), build_model(spec, seed=0, device="meta")
    shape = (spec.channels, *spec.image_size)
    assert price_supernet(whole, shape) == price_supernet(empty, shape)
    assert count_weights(whole, spec) == count_weights(empty, spec)


def test_a_budget_below_what_cannot_be_removed_is_refused():
    spec = supernet_spec(draw_images(side=8))
    price = price_supernet(build_model(spec, seed=0), (spec.channels, *spec.image_size))
    assert 0 < price.fixed < price.total
    share = price.fixed / price.total
    check_budget(UnitSearchOptions(mac_budget=share * 1.01), price)
    with pytest.raises(TicketError, match=f"takes {share:.3g} of the supernet's multiply-accumulates"):
        check_budget(UnitSearchOptions(mac_budget=share * 0.99), price)
