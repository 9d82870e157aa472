"""Transfer: what a SuperTicket takes along to another task, and what it is compared with."""

import pytest
import torch

from lottery_pipeline.evaluation.retraining import retrain_ticket
from lottery_pipeline.evaluation.transfer import BACKBONE, draw_control, transfer_ticket
from lottery_pipeline.models.registry import build_model
from lottery_pipeline.models.supernet.config import Head
from lottery_pipeline.models.supernet.units import describe_architecture
from lottery_pipeline.sparsity.shuffling import count_moved
from lottery_pipeline.tickets import TicketError
from tests.evaluation.three_tasks import PAIRS, RECIPE, TASKS, draw_superticket, draw_tasks
from tests.tiny import draw_ticket, same_bits

OUTPUTS = ("network.head.", "network.fc.")


@pytest.fixture(scope="module")
def images():
    return draw_tasks()


@pytest.fixture(scope="module")
def tickets(images):
    return {task: draw_superticket(images[task]) for task in TASKS}


@pytest.fixture(scope="module")
def moved(images, tickets):
    return transfer_ticket(tickets["segmentation"], images["keypoints"], head="fresh", seed=0)


def inside(tensors, *prefixes):
    return {name: tensor for name, tensor in tensors.items() if name.startswith(prefixes)}


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_backbone_tensors_and_masks_are_those_of_the_ticket_and_only_outputs_are_new(
    source, target, images, tickets
):
    ticket = tickets[source]
    moved = transfer_ticket(ticket, images[target], head="fresh", seed=0)
    backbone = tuple(f"{name}." for name in BACKBONE)
    for own, old in ((moved.state, ticket.state), (moved.masks, ticket.masks)):
        assert same_bits(inside(own, *backbone), inside(old, *backbone))
        assert {name.startswith(OUTPUTS) for name in own.keys() - inside(old, *backbone).keys()} == {True}
    assert sum(int((~mask).sum()) for mask in inside(moved.masks, *backbone).values()) > 0
    assert all(bool(mask.all()) for mask in inside(moved.masks, *OUTPUTS).values())
    fresh = build_model(moved.header.spec, seed=0).state_dict()
    assert inside(moved.state, *OUTPUTS).keys() == inside(fresh, *OUTPUTS).keys()


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_a_step_on_the_target_runs_and_keeps_the_masks(source, target, images, tickets):
    moved = transfer_ticket(tickets[source], images[target], head="fresh", seed=0)
    recipe = RECIPE.replace(iterations=1)
    trained = retrain_ticket(moved, images[target], recipe, seed=0, device="cpu").ticket
    assert same_bits(trained.masks, moved.masks)
    assert all(not bool(trained.state[name][~mask].any()) for name, mask in moved.masks.items())
    assert not same_bits(trained.state, moved.state)


def test_a_moved_ticket_learns_the_target_with_its_architecture_and_masks_as_they_are(images, moved):
    recipe = RECIPE.replace(epochs=6)
    trained = retrain_ticket(moved, images["keypoints"], recipe, seed=0, device="cpu")
    assert trained.history[-1]["train_loss"] < 0.5 * trained.history[0]["train_loss"]
    assert trained.ticket.header.spec == moved.header.spec
    assert same_bits(trained.ticket.masks, moved.masks)
    assert trained.ticket.header.parents["source"] == moved.header.parents["source"]


def test_the_backbone_is_as_small_as_the_search_left_it_and_the_head_is_whole(images, tickets, moved):
    spec = tickets["segmentation"].header.spec
    own, old, whole = (
        {widths.block: widths for widths in describe_architecture(build_model(each, seed=0))}
        for each in (moved.header.spec, spec, moved.header.spec.restored())
    )
    for block, widths in own.items():
        assert widths == (whole if block.startswith("network.head.") else old)[block]
    assert own["network.stages.s1.branch1.block1"].hidden == ((3, 3),)
    assert own["network.head.transform"].hidden == ((3, 4), (5, 4))


def test_a_ticket_of_the_whole_supernet_stays_one(images):
    ticket = draw_superticket(images["segmentation"], whole=True)
    moved = transfer_ticket(ticket, images["classification"], head="fresh", seed=0)
    assert moved.header.spec.architecture == ()
    assert not moved.header.spec.is_reduced


def test_it_is_an_ordinary_ticket_for_the_target_that_names_its_source(images, tickets, moved, tmp_path):
    header = moved.header
    assert header.parents == {
        "images": images["keypoints"].fingerprint,
        "source": tickets["segmentation"].fingerprint,
    }
    assert (header.kind, header.rewind_step, header.spec.supernet.head.task) == ("ticket", 0, "keypoints")
    moved.save(tmp_path / "ticket.safetensors")
    loaded = type(moved).load(tmp_path / "ticket.safetensors")
    assert loaded.fingerprint == moved.fingerprint
    assert same_bits(loaded.state, moved.state)


@pytest.mark.parametrize(("source", "target"), [("segmentation", "keypoints"), ("keypoints", "segmentation")])
def test_a_head_that_is_carried_keeps_weights_and_masks_and_loses_its_last_layer(
    source, target, images, tickets
):
    ticket = tickets[source]
    moved = transfer_ticket(ticket, images[target], head="carry", seed=0)
    kept = tuple(f"{name}." for name in (*BACKBONE, "network.head"))
    for own, old in ((moved.state, ticket.state), (moved.masks, ticket.masks)):
        assert same_bits(inside(own, *kept), inside(old, *kept))
        assert own.keys() - inside(own, *kept).keys() <= {"network.fc.weight", "network.fc.bias"}
    assert bool(moved.masks["network.fc.weight"].all())
    assert not torch.equal(moved.state["network.fc.weight"], ticket.state["network.fc.weight"])
    widths = [each.header.spec.supernet.head_width() for each in (moved, ticket)]
    assert widths == [5 if source == "segmentation" else 1] * 2


def test_new_weights_follow_from_the_seed_alone(images, tickets, moved):
    again, other = (
        transfer_ticket(tickets["segmentation"], images["keypoints"], head="fresh", seed=seed)
        for seed in (0, 1)
    )
    assert same_bits(again.state, moved.state)
    assert not same_bits(inside(other.state, *OUTPUTS), inside(moved.state, *OUTPUTS))


def test_a_fresh_head_has_the_width_that_the_target_asks_for(images, tickets):
    ticket = tickets["keypoints"]
    head = Head(task="segmentation", width=7)
    moved = transfer_ticket(ticket, images["segmentation"], head="fresh", seed=0, fresh_head=head)
    assert moved.header.spec.supernet.head == head
    standard = transfer_ticket(ticket, images["segmentation"], head="fresh", seed=0)
    assert standard.header.spec.supernet.head == Head(task="segmentation")


def test_what_does_not_fit_is_refused(images, tickets):
    with pytest.raises(TicketError, match="the head of classification fits no network for segmentation"):
        transfer_ticket(tickets["classification"], images["segmentation"], head="carry", seed=0)
    with pytest.raises(TicketError, match="the head of keypoints fits no network for classification"):
        transfer_ticket(tickets["keypoints"], images["classification"], head="carry", seed=0)
    with pytest.raises(TicketError, match=r"images with image_size \(8, 8\), but the target has \(9, 9\)"):
        transfer_ticket(tickets["keypoints"], draw_tasks(size=9)["keypoints"], head="fresh", seed=0)
    with pytest.raises(TicketError, match="images with channels 1, but the target has 3"):
        transfer_ticket(tickets["keypoints"], draw_tasks(channels=3)["keypoints"], head="fresh", seed=0)
    with pytest.raises(TicketError, match=r"only a ticket of a supernet can move .* is a lenet_300_100"):
        transfer_ticket(draw_ticket(), images["keypoints"], head="fresh", seed=0)


def test_a_frozen_backbone_is_unchanged_after_steps_and_the_head_is_not(images, moved):
    names = tuple(f"{name}." for name in BACKBONE)

    def train(frozen_modules):
        found = retrain_ticket(
            moved, images["keypoints"], RECIPE, seed=0, device="cpu", frozen_modules=frozen_modules
        )
        return found.ticket.state

    frozen, free = train(BACKBONE), train(())
    assert same_bits(inside(frozen, *names), inside(moved.state, *names))
    changed = {
        name
        for name, tensor in inside(frozen, *OUTPUTS).items()
        if not torch.equal(tensor, moved.state[name])
    }
    assert {"network.fc.weight", "network.head.transform.output_norm.running_mean"} <= changed
    changed = {
        name for name, tensor in inside(free, *names).items() if not torch.equal(tensor, moved.state[name])
    }
    assert {"network.stem.conv1.weight", "network.stem.norm1.running_mean"} <= changed


def test_fresh_weights_keep_the_masks_or_lose_them_all(images, moved):
    given = {"unmasked": moved.state, "head": "fresh", "seed": 0}
    for kind in ("reinitialised", "dense"):
        control = draw_control(moved, kind, **given)
        assert control.header.spec == moved.header.spec
        kept = all(bool(mask.all()) for mask in control.masks.values())
        assert kept == (kind == "dense")
        name = "network.stem.conv1.weight"
        weight, mask = control.state[name], control.masks[name]
        assert not torch.equal(weight[mask], moved.state[name][mask])
        assert not control.state["network.stem.norm1.running_mean"].any()
    assert same_bits(draw_control(moved, "reinitialised", **given).masks, moved.masks)


def test_a_shuffled_mask_has_the_same_counts_and_the_weights_that_were_masked(moved):
    unmasked = {name: torch.full_like(tensor, 2.0) for name, tensor in moved.state.items()}
    control = draw_control(moved, "random_mask", unmasked=unmasked, head="fresh", seed=0)
    assert count_moved(moved.masks, control.masks) > 0
    for name, mask in control.masks.items():
        assert int(mask.sum()) == int(moved.masks[name].sum())
        if name.startswith(OUTPUTS):
            assert torch.equal(control.state[name], moved.state[name])
        else:
            assert torch.equal(control.state[name], 2.0 * mask)
    name = "network.stem.norm1.running_mean"
    assert torch.equal(control.state[name], moved.state[name])


def test_controls_follow_from_the_seed_and_others_are_refused(moved):
    given = {"unmasked": moved.state, "head": "fresh"}
    first, again, other = (
        draw_control(moved, "reinitialised", **given, seed=seed).fingerprint for seed in (0, 0, 1)
    )
    assert first == again != other
    with pytest.raises(TicketError, match="is reinitialised, random_mask or dense, not 'direct'"):
        draw_control(moved, "direct", **given, seed=0)
