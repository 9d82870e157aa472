"""The events of a joint search, one by one: who shrinks, who is masked, what comes back."""

import copy

import pytest
import torch

from lottery_pipeline.models.supernet.units import find_units
from lottery_pipeline.sparsity.masks import count_kept, count_prunable
from lottery_pipeline.training.events import EventError
from lottery_pipeline.training.optimiser import MaskedOptimiser
from lottery_pipeline.training.state import take_group
from tests.supernets import RECIPE, ask, start_events
from tests.tiny import draw_images

STEPS = 2  # of an epoch


@pytest.fixture(scope="module")
def images():
    return draw_images(side=8)


def end(events, epoch: int):
    """End an epoch with fresh moments of 1, so that one sees what is cleared and cut."""
    optimiser = MaskedOptimiser(events.model, RECIPE, events.masks)
    moments = {name: torch.ones_like(tensor) for name, tensor in optimiser.tensors().items()}
    return events.end_epoch(epoch * STEPS, moments)


def kill(events, count: int = 1, *, group: int = 0, in_average: bool = True) -> str:
    """Set the scales of the first units of a group to 0; return its name."""
    unit = find_units(events.model)[group]
    with torch.no_grad():
        dict(events.model.named_parameters())[unit.gamma][:count] = 0
        if in_average:
            events._average.values[unit.gamma][:count] = 0
    return unit.name


def density(events) -> float:
    return count_kept(events.masks) / count_prunable(events.masks)


def test_an_epoch_without_an_event_leaves_network_and_masks_alone(images):
    events = start_events(images, ask(search={"every": 3.0}, pruning={"every": 3.0, "reactivation": "never"}))
    assert end(events, 1) is None
    assert density(events) == 1.0


def test_a_search_event_cuts_dead_units_out_of_everything_alike(images):
    events = start_events(images, ask(search={"every": 1.0}, pruning={"every": 4.0}))
    before = {name: p.detach().clone() for name, p in events.model.named_parameters()}
    name = kill(events, 2)
    change = end(events, 1)
    assert change.model is events.model
    expand = f"{name}.expand.weight"
    assert torch.equal(dict(change.model.named_parameters())[expand], before[expand][2:])
    parameters = dict(change.model.named_parameters())
    for found in (events._average.values, take_group(change.moments, "momentum")):
        assert {key: value.shape for key, value in found.items()} == {
            key: value.shape for key, value in parameters.items()
        }
    assert {key: mask.shape for key, mask in events.masks.items()} == {
        key: parameters[key].shape for key in events.masks
    }
    MaskedOptimiser(change.model, RECIPE, change.masks).load(change.moments)


def test_a_unit_that_is_alive_in_the_average_stays_until_the_last_event(images):
    events = start_events(images, ask(search={"every": 1.0}, pruning={"every": 4.0}))
    name = kill(events, 2, in_average=False)
    end(events, 1)
    assert len(dict(events.model.named_parameters())[f"{name}.expand.weight"]) == 4


def test_nothing_is_removed_before_enough_multiply_accumulates_are_dead(images):
    events = start_events(images, ask(search={"every": 1.0, "min_dead_macs": 0.5}, pruning={"every": 4.0}))
    kill(events, 2)
    assert events.columns()["units"] == 4 * 2 * 3 + sizes_of_the_rest(events)
    end(events, 1)
    assert "shrink" not in events.columns()["event"]
    end(events, 6)
    assert "shrink" in events.columns()["event"]


def sizes_of_the_rest(events) -> int:
    return sum(group.size for group in find_units(events.model) if group.kernel) - 24


def test_the_search_comes_before_the_pruning_and_the_ticket_has_exactly_k_weights(images):
    events = start_events(images, ask(0.2, search={"every": 1.0}, pruning={"every": 2.0}))
    kill(events, 2)
    end(events, 6)
    row = events.columns()
    assert row["event"] == "search, shrink, prune"
    assert row["kept"] == events._plan.keep == int(0.2 * events._plan.prunable)
    assert row["density"] == row["kept"] / events._plan.prunable


def test_masked_weights_are_0_and_their_values_wait_beside_the_network(images):
    events = start_events(images, ask(0.2))
    before = {name: weight.detach().clone() for name, weight in events._prunable.items()}
    end(events, 2)
    for name, mask in events.masks.items():
        assert not events._prunable[name][~mask].any()
    assert all(torch.equal(value, before[name]) for name, value in events.full_values().items())


def test_momentum_of_masked_weights_is_forgotten(images):
    events = start_events(images, ask(0.2))
    change = end(events, 2)
    for name, mask in change.masks.items():
        assert torch.equal(change.moments[f"momentum/{name}"], mask.float())


@pytest.mark.parametrize(("mode", "shrinks", "comes_back"), [
    ("every_search", False, "all"),
    ("every_search", True, "all"),
    ("on_search", False, "none"),
    ("on_search", True, "blocks"),
    ("never", True, "none"),
])  # fmt: skip
def test_what_a_search_event_brings_back(images, mode, shrinks, comes_back):
    events = start_events(
        images, ask(0.2, search={"every": 1.0}, pruning={"every": 2.0, "reactivation": mode})
    )
    full = {name: weight.detach().clone() for name, weight in events._prunable.items()}
    end(events, 2)
    masked = {name: mask.clone() for name, mask in events.masks.items()}
    name = kill(events, 1) if shrinks else ""
    end(events, 3)
    for key, mask in events.masks.items():
        back = comes_back == "all" or (comes_back == "blocks" and ".groups." in key)
        if name and key.startswith(name):
            continue  # it is cut as well
        assert bool(mask.all()) if back else torch.equal(mask, masked[key])
        if back:
            assert torch.equal(events._prunable[key], full[key])


def test_a_mask_that_is_never_reset_is_cut_with_its_units(images):
    events = start_events(images, ask(0.2, pruning={"every": 2.0, "reactivation": "never"}))
    end(events, 2)
    masked = {name: mask.clone() for name, mask in events.masks.items()}
    name = kill(events, 2)
    end(events, 3)
    assert torch.equal(events.masks[f"{name}.project.weight"], masked[f"{name}.project.weight"][:, 2:])


def test_after_prune_measures_the_pruned_network_and_then_trains_it_whole(images):
    options = ask(0.2, search={"every": 1.0}, pruning={"every": 2.0, "reactivation": "after_prune"})
    events = start_events(images, options)
    end(events, 2)
    assert density(events) == 1.0
    measured = dict(events.measured().named_parameters())
    assert sum(int(measured[name].count_nonzero()) for name in events.masks) < events._plan.prunable
    assert events.columns()["density"] < 1.0
    end(events, 6)
    assert count_kept(events.masks) == events._plan.keep


def test_what_comes_back_may_be_0(images):
    options = ask(0.2, pruning={"every": 2.0, "pruned_value": "zero"})
    events = start_events(images, options)
    end(events, 2)
    masks = {name: mask.clone() for name, mask in events.masks.items()}
    end(events, 3)
    assert density(events) == 1.0
    assert all(not events._prunable[name][~mask].any() for name, mask in masks.items())


@pytest.mark.parametrize(("compete", "returns"), [("raw", True), ("kept_only", False)])
def test_whether_a_hidden_weight_above_the_others_returns(images, compete, returns):
    pruning = {"every": 2.0, "reactivation": "never", "compete": compete, "progressive": False}
    events = start_events(images, ask(0.2, search=None, pruning=pruning))
    end(events, 2)
    name, mask = next((name, mask) for name, mask in events.masks.items() if not mask.all())
    place = tuple((~mask).nonzero()[0].tolist())
    events._hidden[name][place] = 100.0
    end(events, 4)
    assert bool(events.masks[name][place]) is returns
    assert float(events._prunable[name][place].detach()) == (100.0 if returns else 0.0)
    assert count_kept(events.masks) == events._plan.keep


def test_sparsity_rises_from_event_to_event_as_planned(images):
    events = start_events(images, ask(0.1, search={"every": 1.0}, pruning={"every": 2.0, "step": 0.3}))
    found = []
    for epoch in (2, 3, 4, 5, 6):
        end(events, epoch)
        found.append(1 - events.columns()["density"])
    prunable = events._plan.prunable
    assert found[0] == pytest.approx(0.3, abs=1 / prunable)
    assert found[2] == pytest.approx(0.6, abs=1 / prunable)
    assert found[4] == pytest.approx(0.9, abs=1 / prunable)
    assert found[1] == found[3] == 0.0  # between events everything trains


def test_a_mac_budget_is_met_evenly(images):
    events = start_events(images, ask(search={"every": 3.0, "mac_budget": 0.6}, pruning=None))
    macs = events._plan.macs
    end(events, 3)
    first = events.columns()["macs"]
    end(events, 6)
    last = events.columns()["macs"]
    assert 0.7 * macs < first <= 0.8 * macs
    assert 0.5 * macs < last <= 0.6 * macs


def test_a_pull_that_kills_every_unit_is_said_at_the_moment_it_happens(images):
    events = start_events(images, ask())
    for place in range(len(find_units(events.model))):
        kill(events, 100, group=place)
    with pytest.raises(EventError, match=r"would remove every unit of the supernet \(rho .*lower .*rho"):
        end(events, 1)


def test_measuring_leaves_the_buffers_of_the_network_alone(images):
    events = start_events(images, ask())
    before = {name: buffer.clone() for name, buffer in events.model.named_buffers()}
    measured = events.measured()
    assert all(torch.equal(buffer, before[name]) for name, buffer in events.model.named_buffers())
    changed = [name for name, buffer in measured.named_buffers() if not torch.equal(buffer, before[name])]
    assert "network.stem.norm1.running_mean" in changed


def test_statistics_are_the_plain_mean_over_the_calibration_images(images):
    events = start_events(images, ask(calibration_batches=2))  # two batches of 20 are all 40 images
    measured = events.measured()
    seen = []
    twin = copy.deepcopy(events.model).eval()
    twin.network.stem.conv1.register_forward_hook(lambda _m, _i, output: seen.append(output))
    with torch.no_grad():
        twin(images.train.images / 255)
    mean = seen[0].mean((0, 2, 3))
    torch.testing.assert_close(measured.network.stem.norm1.running_mean, mean, atol=1e-5, rtol=1e-5)


def test_l2_acts_on_weights_and_the_pull_on_scales(images):
    events = start_events(images, ask(search={"rho": 0.5, "rho_warmup": 0.0, "mac_weighted": False}))
    for parameter in events.model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    events.regularise(3)
    scales = {unit.gamma for unit in find_units(events.model)}
    for name, parameter in events.model.named_parameters():
        if name in scales:
            wanted = 0.5 * parameter.detach().sign()
        elif name in events._prunable:
            wanted = 1e-3 * parameter.detach()
        else:
            wanted = torch.zeros_like(parameter)
        torch.testing.assert_close(parameter.grad, wanted)


def test_random_masks_keep_exactly_k_too(images):
    events = start_events(images, ask(0.2, pruning={"scores": "random"}))
    other = start_events(images, ask(0.2))
    end(events, 6)
    end(other, 6)
    assert count_kept(events.masks) == count_kept(other.masks) == events._plan.keep
    assert any(not torch.equal(events.masks[name], mask) for name, mask in other.masks.items())
