"""Filter tickets: matched as nearly as can be, their tensors slices of the start weights."""

from dataclasses import replace

import pytest
import torch
from pydantic import ValidationError

from lottery_pipeline.methods.filter.filter import extract_filter
from lottery_pipeline.methods.filter.selection import count_size, order_removals
from lottery_pipeline.methods.snip import snip_scores
from lottery_pipeline.models.registry import build_model
from lottery_pipeline.options.filter import FilterOptions
from lottery_pipeline.search.calibration import draw_calibration
from lottery_pipeline.search.extraction import Search
from lottery_pipeline.search.parents import check_ticket
from lottery_pipeline.tickets.errors import TicketError
from lottery_pipeline.tickets.ticket import Ticket
from lottery_pipeline.training.dense import DenseRun
from tests.reference.channels_naive import cifar_resnet_sizes, nearest_naive
from tests.tiny import OWN_MODEL, RECIPE, draw_images, same_bits, spec_for

GONE = ("network.layer1.1", "network.layer2.2")
WIDTHS = [16] * 3 + [32] * 3 + [64] * 3
FIRST = [f"network.layer{stage}.{block}.conv1" for stage in (1, 2, 3) for block in range(3)]


@pytest.fixture(scope="module")
def images():
    return draw_images(counts=(12, 3, 3))


def untrained(images, name="resnet20", **changes) -> DenseRun:
    """A dense run without its training: theta_0, theta_k and theta_T are three initialisations."""
    spec = spec_for(images, name, **changes)
    states = [build_model(spec, seed=seed, allow_factory=OWN_MODEL).state_dict() for seed in range(3)]
    return DenseRun(spec, RECIPE, 0, 2, *states, [], {}, images.fingerprint, "d" * 64)


@pytest.fixture(scope="module")
def dense(images):
    return untrained(images)


def extract(images, dense, *, match=GONE, seed=0, **options):
    reduced = dense.spec.model_copy(update={"removed_blocks": match}) if match else None
    return extract_filter(
        Search(images, dense, RECIPE, seed=seed, device="cpu", match=reduced),
        FilterOptions(**{"criterion": "l1", "images_per_class": 2, **options}),
    )


def score_channels(images, dense, criterion, state):
    """Sums over the filters of first convolutions, one filter after the other."""
    model = build_model(dense.spec, seed=0)
    model.load_state_dict(state)
    scores = {name: tensor.abs() for name, tensor in state.items()}
    if criterion == "snip":
        pixels, labels = draw_calibration(images, per_class=2, seed=0, device=torch.device("cpu"))
        scores = snip_scores(model, pixels, labels)
    return {
        name: torch.stack([scores[f"{name}.weight"][channel].double().sum() for channel in range(width)])
        for name, width in zip(FIRST, WIDTHS, strict=True)
    }


def walk(order, matching):
    """Sizes after 0, 1, 2, ... removals, and the widths then."""
    widths = dict(zip(FIRST, WIDTHS, strict=True))
    steps = [dict(widths)]
    for name, _ in order:
        widths[name] -= 1
        steps.append(dict(widths))
    sizes = [
        cifar_resnet_sizes(list(step.values()), side=4, channels=1, classes=3)[matching] for step in steps
    ]
    return sizes, steps


def target_of(matching):
    """What a ResNet-20 without one block of stage 1 and one of stage 2 has, in closed form; 4x4 images."""
    whole = cifar_resnet_sizes(WIDTHS, side=4, channels=1, classes=3)[matching]
    gone = {
        "filters": 2 * 16 + 2 * 32,
        "macs": 2 * 9 * (16 * 16**2 + 4 * 32**2),
        "parameters": 2 * 9 * (16**2 + 32**2) + 4 * (16 + 32),
    }
    return whole - gone[matching]


@pytest.mark.parametrize("criterion", ["l1", "snip"])
@pytest.mark.parametrize("matching", ["filters", "macs", "parameters"])
def test_what_is_left_comes_as_near_to_the_layer_ticket_as_the_order_allows(
    images, dense, criterion, matching
):
    found = extract(images, dense, criterion=criterion, matching=matching)
    order = order_removals(score_channels(images, dense, criterion, dense.initial), 1)
    sizes, steps = walk(order, matching)
    best = nearest_naive(sizes, target_of(matching))
    assert 0 < best < len(order)
    assert {row["layer"]: row["channels_after"] for row in found.trace} == steps[best]
    assert [row["channels_before"] for row in found.trace] == WIDTHS
    model = build_model(found.ticket.header.spec, seed=0, device="meta")
    assert count_size(model, matching, (1, 4, 4)) == sizes[best]


def test_filters_are_matched_exactly(images, dense):
    ticket = extract(images, dense, criterion="random").ticket
    assert count_size(ticket.build(), "filters", (1, 4, 4)) == target_of("filters")


def test_tensors_are_slices_of_the_start_weights(images, dense):
    found = extract(images, dense, start="rewind")
    order = order_removals(score_channels(images, dense, "l1", dense.initial), 1)
    sizes, _ = walk(order, "filters")
    gone = set(order[: nearest_naive(sizes, target_of("filters"))])
    state = found.ticket.state
    for name, width in zip(FIRST, WIDTHS, strict=True):
        kept = [channel for channel in range(width) if (name, channel) not in gone]
        assert torch.equal(state[f"{name}.weight"], dense.rewind[f"{name}.weight"][kept])
        second = name.replace("conv1", "conv2")
        assert torch.equal(state[f"{second}.weight"], dense.rewind[f"{second}.weight"][:, kept])
        norm = name.replace("conv1", "bn1")
        assert torch.equal(state[f"{norm}.running_var"], dense.rewind[f"{norm}.running_var"][kept])
    assert torch.equal(state["network.fc.weight"], dense.rewind["network.fc.weight"])
    assert found.ticket.header.rewind_step == dense.rewind_step


@pytest.mark.parametrize("state", ["initial", "rewind", "final"])
def test_the_weights_that_are_scored_need_not_be_those_it_starts_from(images, dense, state):
    found = extract(images, dense, state=state)
    order = order_removals(score_channels(images, dense, "l1", getattr(dense, state)), 1)
    sizes, steps = walk(order, "filters")
    wanted = steps[nearest_naive(sizes, target_of("filters"))]
    assert [row["channels_after"] for row in found.trace] == list(wanted.values())
    assert torch.equal(found.ticket.state["network.conv1.weight"], dense.initial["network.conv1.weight"])


def test_the_ticket_keeps_every_weight_of_its_network_and_can_be_saved(images, dense, tmp_path):
    ticket = extract(images, dense, criterion="grasp").ticket
    assert (ticket.method, ticket.density, ticket.header.kind) == ("filter", 1.0, "ticket")
    assert ticket.header.parents == {"dense": dense.fingerprint, "images": images.fingerprint}
    check_ticket(ticket, images)
    ticket.save(tmp_path / "ticket")
    again = Ticket.load(tmp_path / "ticket")
    assert again.fingerprint == ticket.fingerprint
    assert same_bits(again.state, ticket.state)
    assert again.build()(torch.rand(2, 1, 4, 4)).shape == (2, 3)


def test_the_same_seed_gives_the_same_ticket_and_another_one_another(images, dense):
    first, second, other = (
        extract(images, dense, criterion="random", seed=seed).ticket.fingerprint for seed in (0, 0, 1)
    )
    assert first == second != other


@pytest.mark.parametrize(("criterion", "passes"), [("snip", 1), ("grasp", 3), ("l1", 0), ("random", 0)])
def test_the_search_costs_its_passes_over_the_drawn_images(images, dense, criterion, passes):
    found = extract(images, dense, criterion=criterion)
    assert found.search_epochs == pytest.approx(passes * 6 / 12)


def test_a_budget_of_macs_takes_the_place_of_a_layer_ticket(images, dense):
    found = extract(images, dense, match=(), mac_budget=0.5)
    whole = cifar_resnet_sizes(WIDTHS, side=4, channels=1, classes=3)["macs"]
    sizes, _ = walk(order_removals(score_channels(images, dense, "l1", dense.initial), 1), "macs")
    left = count_size(found.ticket.build(), "macs", (1, 4, 4))
    assert left == sizes[nearest_naive(sizes, round(whole / 2))]
    assert left == pytest.approx(whole / 2, rel=0.01)


def test_every_layer_keeps_its_least_number_of_channels(images, dense):
    found = extract(images, dense, match=(), mac_budget=0.4, min_channels=4)
    assert min(row["channels_after"] for row in found.trace) == 4


def test_coupled_channels_go_together(images, dense):
    found = extract(images, dense, scope="all", criterion="snip")
    assert [row["layer"] for row in found.trace if row["layer"] not in FIRST] == [
        "network.conv1",
        "network.layer2.0.conv2",
        "network.layer3.0.conv2",
    ]
    assert abs(count_size(found.ticket.build(), "filters", (1, 4, 4)) - target_of("filters")) <= 2
    assert found.ticket.build()(torch.rand(2, 1, 4, 4)).shape == (2, 3)


def test_layers_that_are_never_pruned_keep_their_channels(images):
    dense = untrained(images, ignore_layers=("layer1.*", "layer2.0.conv2"))
    found = extract(images, dense)
    assert [row["layer"] for row in found.trace] == list(FIRST[4:])


def test_a_reduced_network_can_be_narrowed_further(images):
    dense = untrained(images, removed_blocks=("network.layer3.1",))
    ticket = extract(images, dense, match=(*GONE, "network.layer3.1")).ticket
    assert ticket.header.spec.removed_blocks == ("network.layer3.1",)
    assert count_size(ticket.build(), "filters", (1, 4, 4)) == target_of("filters") - 128


def test_without_a_target_nothing_is_computed(images, dense):
    with pytest.raises(TicketError, match=r"needs the layer ticket .* filter\.extraction\.mac_budget"):
        extract(images, dense, match=())


def test_another_network_cannot_be_matched(images, dense):
    with pytest.raises(TicketError, match="given a resnet32 to match, but the dense run is of a resnet20"):
        extract_filter(
            Search(images, dense, RECIPE, seed=0, match=spec_for(images, "resnet32")), FilterOptions()
        )


def test_a_target_out_of_reach_names_the_least_there_is(images, dense):
    least = cifar_resnet_sizes([8] * 9, side=4, channels=1, classes=3)["macs"]
    with pytest.raises(TicketError, match=f"the least it can reach is {least}"):
        extract(images, dense, match=(), mac_budget=0.01, min_channels=8)


def test_a_network_without_filters_is_refused(images):
    with pytest.raises(TicketError, match="finds no filters in lenet_300_100"):
        extract(images, untrained(images, "lenet_300_100"), match=(), mac_budget=0.5)


def test_branches_that_begin_at_zero_cannot_be_ranked(images, dense):
    state = {name: tensor.clone() for name, tensor in dense.initial.items()}
    for name in state:
        if name.endswith("bn2.weight"):
            state[name].zero_()
    with pytest.raises(TicketError, match=r"by snip: all 336 scores are 0, as happens when residual"):
        extract(images, replace(dense, initial=state), criterion="snip")


def test_a_score_that_is_not_finite_is_refused(images, dense):
    state = {name: tensor.clone() for name, tensor in dense.initial.items()}
    state[f"{FIRST[0]}.weight"][0] = torch.inf
    with pytest.raises(TicketError, match="by l1: a score is not finite"):
        extract(images, replace(dense, initial=state))


def test_a_dense_run_of_other_images_is_refused(images, dense):
    with pytest.raises(TicketError, match="trained on other images"):
        extract(images, replace(dense, images_fingerprint="e" * 64))


def test_bad_options_are_refused():
    for change in (
        {"min_channels": 0},
        {"mac_budget": 0.0},
        {"criterion": "l3"},
        {"scope": "outer"},
        {"x": 1},
    ):
        with pytest.raises(ValidationError):
            FilterOptions(**change)


def test_the_size_of_the_whole_network_leaves_any_network_whole(images):
    dense = untrained(images, "lenet_300_100")
    options = FilterOptions(criterion="snip")
    found = extract_filter(Search(images, dense, RECIPE, seed=0, device="cpu", match=dense.spec), options)
    assert found.ticket.header.spec == dense.spec
    assert (found.trace, found.search_epochs) == ([], 0)
