"""Layer tickets: what goes, what stays, and from where it starts."""

from dataclasses import replace

import pytest
import torch
from torch import nn

import lottery_pipeline.methods.layer.removal as layer_rounds
from lottery_pipeline.costs.macs import count_macs, total_macs
from lottery_pipeline.evaluation.retraining import retrain_ticket
from lottery_pipeline.methods.layer.layer import extract_layer
from lottery_pipeline.models.names import ModelError
from lottery_pipeline.models.registry import build_model
from lottery_pipeline.options.layer import LayerOptions
from lottery_pipeline.reproducibility.fingerprints import fingerprint_tensors
from lottery_pipeline.reproducibility.seeds import derive_seed
from lottery_pipeline.search.extraction import Search
from lottery_pipeline.tickets.errors import TicketError
from lottery_pipeline.tickets.ticket import Ticket
from tests.methods.layer.networks import RECIPE, untrained_run
from tests.tiny import draw_images, same_bits

CRITERIA = ("snip", "grasp", "grasp_text", "kl", "cka", "expectabs", "hrank", "random")
CANDIDATES = [f"network.layer{stage}.{block}" for stage in (1, 2, 3) for block in (1, 2)]


@pytest.fixture(scope="module")
def images():
    return draw_images(side=8, counts=(12, 4, 4))


@pytest.fixture(scope="module")
def dense(images):
    return untrained_run(images)


def extract(images, dense, *, seed=0, **options):
    options = LayerOptions(**{"criterion": "random", "images_per_class": 2, **options})
    return extract_layer(Search(images, dense, RECIPE, seed=seed, device="cpu"), options)


def removed(found):
    return list(found.ticket.header.spec.removed_blocks)


@pytest.mark.parametrize("criterion", CRITERIA)
def test_the_lowest_scores_go_within_the_floor_and_the_same_seed_gives_the_same_ticket(
    images, dense, criterion
):
    found, again = (extract(images, dense, criterion=criterion, removed=2) for _ in range(2))
    assert found.ticket.to_bytes() == again.ticket.to_bytes()
    rows = found.trace
    assert [row["block"] for row in rows] == CANDIDATES
    assert [row["stage"] for row in rows] == [name.rpartition(".")[0] for name in CANDIDATES]
    order = sorted(rows, key=lambda row: row[f"{criterion}_score"])
    assert [row["rank"] for row in order] == [1, 2, 3, 4, 5, 6]
    taken = []
    for row in order:
        if len(taken) < 2 and row["stage"] not in [block["stage"] for block in taken]:
            taken.append(row)
    assert {row["block"] for row in taken} == {row["block"] for row in rows if row["removed"]}
    assert removed(found) == [row["block"] for row in rows if row["removed"]]


def test_kept_tensors_are_those_of_the_start_point_bit_for_bit(images, dense):
    for options, state, step in (
        ({}, dense.initial, 0),
        ({"start": "rewind"}, dense.rewind, dense.rewind_step),
        ({"rewinding": "learning_rate"}, dense.final, 0),
    ):
        ticket = extract(images, dense, removed=3, **options).ticket
        gone = tuple(f"{name}." for name in ticket.header.spec.removed_blocks)
        kept = {name: tensor for name, tensor in state.items() if not name.startswith(gone)}
        assert len(gone) == 3
        assert same_bits(ticket.state, kept)
        assert ticket.header.rewind_step == step


def test_fresh_weights_follow_from_the_seed_and_are_nobody_elses(images, dense):
    first, again = (extract(images, dense, removed=1, rewinding="reinit").ticket for _ in range(2))
    assert same_bits(first.state, again.state)
    own = build_model(first.header.spec, seed=derive_seed(0, "layer", "reinitialisation")).state_dict()
    assert same_bits(first.state, own)
    for state in (dense.initial, dense.rewind, dense.final):
        assert not torch.equal(first.state["network.conv1.weight"], state["network.conv1.weight"])
    assert first.header.rewind_step == 0


def test_the_mask_is_all_ones_and_the_network_is_smaller(images, dense):
    ticket = extract(images, dense, removed=3).ticket
    assert ticket.method == "layer"
    assert ticket.density == 1
    assert all(bool(mask.all()) for mask in ticket.masks.values())
    assert ticket.header.parents == {"dense": dense.fingerprint, "images": images.fingerprint}
    shape = (images.channels, *images.image_size)
    full, smaller = (
        total_macs(count_macs(model, shape)) for model in (build_model(dense.spec, seed=0), ticket.build())
    )
    assert full - smaller == 3 * 4_718_592 // 16  # images of 8x8 and not of 32x32


def test_a_ticket_can_be_saved_and_trained(images, dense, tmp_path):
    ticket = extract(images, dense, removed=1, start="rewind").ticket
    ticket.save(tmp_path / "ticket.safetensors")
    loaded = Ticket.load(tmp_path / "ticket.safetensors")
    trained = retrain_ticket(loaded, images, RECIPE, seed=0, device="cpu")
    assert trained.ticket.header.spec.removed_blocks == ticket.header.spec.removed_blocks
    assert trained.epochs == 1  # of two; the rewind point is at the end of the first


@pytest.mark.parametrize("batch_size", [3, 12])
def test_a_rewound_ticket_starts_at_its_epoch_whatever_the_batch_size(images, dense, batch_size):
    recipe = RECIPE.replace(batch_size=batch_size)  # the dense run had 6, and its rewind point at epoch 1
    options = LayerOptions(criterion="random", images_per_class=2, removed=1, start="rewind")
    known = replace(dense, history=[{"step": 4, "epoch": 2}])
    ticket = extract_layer(Search(images, known, recipe, seed=0, device="cpu"), options).ticket
    trained = retrain_ticket(ticket, images, recipe, seed=0, device="cpu")
    assert trained.epochs == 1
    assert trained.history[-1]["step"] == 2 * 12 // batch_size
    assert len(trained.history) == 1


def test_the_dense_run_and_the_random_state_stay_as_they_are(images, dense):
    before = [fingerprint_tensors(state) for state in (dense.initial, dense.rewind, dense.final)]
    state = torch.get_rng_state()
    extract(images, dense, criterion=CRITERIA, removed=1)
    assert [fingerprint_tensors(state) for state in (dense.initial, dense.rewind, dense.final)] == before
    assert torch.equal(torch.get_rng_state(), state)


def test_each_criterion_is_taken_at_its_state(images, dense):
    def scores(criterion, **options):
        found = extract(images, dense, criterion=criterion, removed=1, **options)
        return [row[f"{criterion}_score"] for row in found.trace]

    for criterion, default in (("snip", "initial"), ("expectabs", "final")):
        by_state = {state: scores(criterion, state=state) for state in ("initial", "rewind", "final")}
        assert len({tuple(values) for values in by_state.values()}) == 3
        assert scores(criterion) == by_state[default]


def test_a_consensus_has_the_scores_of_its_criteria_and_the_order_of_their_ranks(images, dense):
    both = extract(images, dense, criterion=["snip", "kl"], removed=1).trace
    ranks = []
    for criterion in ("snip", "kl"):
        alone = extract(images, dense, criterion=criterion, removed=1).trace
        assert [row[f"{criterion}_score"] for row in both] == [row[f"{criterion}_score"] for row in alone]
        ranks.append([row["rank"] for row in alone])
    sums = [first + second for first, second in zip(*ranks, strict=True)]
    order = sorted(range(6), key=lambda index: sums[index])
    assert [both[index]["rank"] for index in order] == [1, 2, 3, 4, 5, 6]


def test_blocks_go_until_the_budget_is_met(images, dense):
    shape = (images.channels, *images.image_size)
    total = total_macs(count_macs(build_model(dense.spec, seed=0, device="meta"), shape))
    block = 4_718_592 // 16
    assert len(removed(extract(images, dense, mac_budget=(total - 2 * block) / total))) == 2
    assert len(removed(extract(images, dense, mac_budget=(total - 2 * block - 1) / total))) == 3


def test_the_cost_is_in_epochs_of_training(images, dense):
    def cost(criterion):
        return extract(images, dense, criterion=criterion, removed=1).search_epochs

    assert cost("snip") == 6 / 12
    assert cost("grasp") == 3 * 6 / 12
    assert cost("kl") == pytest.approx(7 / 3 * 6 / 12)
    assert cost("random") == 0
    assert cost(["snip", "grasp"]) == 4 * 6 / 12


def test_what_cannot_go_is_refused_before_anything_is_scored(images, dense, monkeypatch):
    monkeypatch.setattr(layer_rounds, "score_blocks", None)
    with pytest.raises(TicketError, match="removed is 4, but the network can lose at most 3 of its 6"):
        extract(images, dense, removed=4)
    with pytest.raises(TicketError, match=r"mac_budget is 0.1, but at least 0\.\d{4} of"):
        extract(images, dense, mac_budget=0.1)
    with pytest.raises(TicketError, match="trained on other images"):
        extract(draw_images(side=8, counts=(12, 4, 4), seed=9), dense, removed=1)


def test_a_network_without_residual_blocks_is_refused():
    images = draw_images(side=16, counts=(6, 3, 3))
    with pytest.raises(ModelError, match="no residual block with an identity shortcut"):
        extract(images, untrained_run(images, "vgg16"), removed=1)


def test_a_zero_init_residual_network_is_refused_at_theta_0_only(images, dense):
    zeros = {
        name: torch.zeros_like(tensor) if name.endswith("bn2.weight") else tensor
        for name, tensor in dense.initial.items()
    }
    with pytest.raises(TicketError, match=r"snip scores of all 6 blocks are equal.*zero-init residual"):
        extract(images, replace(dense, initial=zeros), criterion="snip", removed=1)
    assert removed(extract(images, replace(dense, initial=zeros), criterion="snip", removed=1, state="final"))


@pytest.mark.parametrize(("seed", "narrow_block_goes"), [(0, False), (1, True)])
def test_a_layer_ticket_of_a_reduced_network_lacks_the_blocks_of_both(images, dense, seed, narrow_block_goes):
    block = "network.layer1.1"
    narrowed = ((f"{block}.conv1", 16, 8), (f"{block}.bn1", 8, 8), (f"{block}.conv2", 8, 16))
    changes = {"removed_blocks": ("network.layer2.2",), "narrowed": narrowed}
    spec = dense.spec.model_copy(update=changes)
    state = build_model(spec, seed=0).state_dict()
    smaller = replace(dense, spec=spec, initial=state, rewind=state, final=state)
    found = extract(images, smaller, removed=2, seed=seed)
    assert len(found.trace) == 5
    assert removed(found) == sorted(removed(found))
    assert len(removed(found)) == 3
    assert "network.layer2.2" in removed(found)
    assert (block in removed(found)) == narrow_block_goes
    assert found.ticket.header.spec.narrowed == (() if narrow_block_goes else narrowed)
    with pytest.raises(TicketError, match="at most 2 of its 5"):
        extract(images, smaller, removed=3)


def test_the_first_block_of_stage_1_goes_only_on_request(images, dense):
    options = {"allow_first_block_of_stage1": True, "min_blocks_per_stage": 1}
    found = extract(images, dense, removed=6, **options)
    assert "network.layer1.0" in [row["block"] for row in found.trace]
    assert len(removed(found)) == 6
    assert isinstance(found.ticket.build(), nn.Module)


@pytest.mark.parametrize("criterion", ["snip", "kl"])
def test_torchvision_networks_lose_blocks_too(criterion):
    images = draw_images(side=8, counts=(6, 3, 3))
    dense = untrained_run(images, "torchvision:resnet18")
    found = extract(images, dense, criterion=criterion, removed=1, min_blocks_per_stage=1, state="rewind")
    assert removed(found)[0] in [f"network.layer{stage}.1" for stage in (1, 2, 3, 4)]
