import math
from dataclasses import replace

import pytest
import torch

import lottery_pipeline.methods.imp.round as imp_round
from lottery_pipeline.reproducibility.fingerprints import fingerprint_tensors
from lottery_pipeline.reproducibility.seeds import derive_seed
from lottery_pipeline.sparsity.allocation import DensityError
from lottery_pipeline.sparsity.masks import are_nested
from lottery_pipeline.tickets import Ticket, TicketError
from lottery_pipeline.training.recipe import Recipe
from tests.reference.imp_naive import imp_naive
from tests.tiny import (
    OWN_MODEL,
    RECIPE,
    draw_images,
    extract,
    must_not_train,
    pretrain_tiny,
    same_bits,
    start_of,
    timeless,
)


@pytest.fixture(scope="module")
def images():
    return draw_images()


@pytest.fixture(scope="module")
def dense(images):
    return pretrain_tiny(images)


# T4 ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["lth", "ltr"])
def test_rungs_are_nested_and_survivors_are_the_start_weights_bit_for_bit(images, dense, method):
    ladder = extract(method, images, dense).ladder
    start = start_of(method, dense)
    assert not same_bits(dense.initial, dense.rewind)
    tickets = [ladder.ticket(rung) for rung in range(5)]
    assert [ticket.kept for ticket in tickets] == [194, 116, 69, 41, 25]
    for inner, outer in zip(tickets[1:], tickets, strict=False):
        assert are_nested(inner.masks, outer.masks)
    for ticket in tickets:
        for name, tensor in ticket.state.items():
            mask = ticket.masks.get(name, torch.ones_like(tensor, dtype=torch.bool))
            assert torch.equal(tensor[mask].view(torch.int32), start[name][mask].view(torch.int32))
            assert not tensor[~mask].any()


@pytest.mark.parametrize("method", ["lth", "ltr"])
def test_batch_norm_buffers_are_rewound_with_the_weights(method):
    images = draw_images(side=8, counts=(12, 4, 4))
    recipe = Recipe(learning_rate=0.1, epochs=2, batch_size=6)
    dense = pretrain_tiny(images, "resnet20", recipe)
    ticket = extract(method, images, dense, recipe, rounds=2).ticket
    names = [name for name in ticket.state if "running" in name or "num_batches" in name]
    assert len(names) == 3 * 21
    for name in names:
        assert torch.equal(ticket.state[name], start_of(method, dense)[name])
    if method == "ltr":
        assert not torch.equal(ticket.state[names[0]], dense.initial[names[0]])


def test_every_round_trains_from_the_start_point_with_an_order_of_its_own(images, dense, monkeypatch):
    seen = []
    train = imp_round.train

    def spy(model, *args, **kwargs):
        seen.append((kwargs["seed"], kwargs["start_step"], fingerprint_tensors(model.state_dict())))
        return train(model, *args, **kwargs)

    monkeypatch.setattr(imp_round, "train", spy)
    extract("ltr", images, dense)
    assert [seed for seed, _, _ in seen] == [derive_seed(0, "round", number) for number in (1, 2, 3)]
    assert {(step, state) for _, step, state in seen} == {(2, fingerprint_tensors(dense.rewind))}


def test_a_pruned_weight_does_not_come_back_where_kept_weights_are_0_too(images, dense):
    """All weights start, and therefore stay, at 0; only round 0 has scores, and they rise with the index."""
    zeros = {name: torch.zeros_like(tensor) for name, tensor in dense.initial.items()}
    rising = {name: torch.arange(1.0, t.numel() + 1).reshape(t.shape) for name, t in zeros.items()}
    ladder = extract("lth", images, replace(dense, initial=zeros, final=rising), rounds=2, rate=0.5).ladder
    assert are_nested(ladder.masks(2), ladder.masks(1))
    assert not ladder.masks(1)["network.1.weight"].flatten()[0]
    assert ladder.ticket(2).kept == 48


# T2 ---------------------------------------------------------------------------------------------------------


def test_layer_wise_lenet_gives_the_published_ladder():
    images = draw_images(side=28, counts=(8, 2, 2), classes=10)
    recipe = Recipe(learning_rate=0.01, iterations=1, batch_size=8)
    dense = pretrain_tiny(images, "lenet_300_100", recipe, rewind_epoch=0)
    ladder = extract("lth", images, dense, recipe, rounds=15, scope="layer", layer_rates={"fc": 0.1}).ladder
    assert [layer.kept for layer in ladder.ticket(1).header.layers] == [188_160, 24_000, 900]
    published = [100, 80.0, 64.1, 51.3, 41.1, 32.9, 26.3, 21.1, 16.9, 13.5, 10.8, 8.7, 6.9, 5.6, 4.5, 3.6]
    # The twelfth rung is 6.952 %, which the published list rounds down.
    assert [100 * ladder.ticket(r).density for r in range(16)] == pytest.approx(published, abs=0.053)


def test_layer_wise_pruning_drops_the_smallest_of_each_layer(images, dense):
    ticket = extract("lth", images, dense, rounds=1, rate=0.25, scope="layer").ticket
    for name, mask in ticket.masks.items():
        size = dense.final[name].abs()
        assert int(mask.sum()) == mask.numel() * 3 // 4
        assert size[mask].min() >= size[~mask].max()


def test_one_shot_prunes_the_dense_run_to_the_density_at_once(images, dense):
    result = extract("lth", images, dense, density=0.1, one_shot=True)
    flat = torch.cat([dense.final[name].abs().flatten() for name in result.ticket.masks])
    mask = torch.cat([mask.flatten() for mask in result.ticket.masks.values()])
    assert result.ladder.header.counts == (194, 19)
    assert set(flat.topk(19).indices.tolist()) == set(mask.nonzero().flatten().tolist())
    assert len(result.ladder.rows) == 1


# T6 ---------------------------------------------------------------------------------------------------------


def test_ltr_rewound_to_step_0_is_lth_bit_for_bit(images):
    dense = pretrain_tiny(images, rewind_epoch=0)
    lth, ltr = (extract(method, images, dense) for method in ("lth", "ltr"))
    assert same_bits(lth.ticket.masks, ltr.ticket.masks)
    assert same_bits(lth.ticket.state, ltr.ticket.state)
    assert same_bits(lth.ladder.survived, ltr.ladder.survived)
    assert timeless(lth.ladder.rows) == timeless(ltr.ladder.rows)


def test_lth_and_ltr_differ_where_the_rewind_step_does(images, dense):
    lth, ltr = (extract(method, images, dense) for method in ("lth", "ltr"))
    assert not same_bits(lth.ticket.masks, ltr.ticket.masks)


# T20 --------------------------------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_ticket_and_another_seed_another(images, dense):
    first, again, other = (extract("ltr", images, dense, seed=seed) for seed in (0, 0, 1))
    assert first.ticket.to_bytes() == again.ticket.to_bytes()
    assert first.ladder.fingerprint == again.ladder.fingerprint
    assert not same_bits(first.ticket.masks, other.ticket.masks)


# Rows and records -------------------------------------------------------------------------------------------


def test_the_dense_run_is_rung_0_where_recipes_agree(images, dense):
    records = []
    result = extract("ltr", images, dense, on_record=lambda *record: records.append(record))
    assert [label for label, _ in records if label != "ladder"] == [
        label for label in ("round_01", "round_02", "round_03") for _ in range(2)
    ]
    row = result.ladder.rows[0]
    assert row["test_accuracy"] == dense.metrics["test_accuracy"]
    assert row["early_stop_step"] == dense.metrics["early_stop_step"]
    assert row["early_stop_validation_loss"] == min(row["validation_loss"] for row in dense.history)
    assert (row["epochs"], row["density"], row["kept"]) == (2.0, 1.0, 194)
    assert row["seconds"] == pytest.approx(dense.metrics["seconds"] * 2 / 3)


def test_rung_0_is_trained_where_the_recipe_is_another(images, dense):
    records = []
    recipe = RECIPE.replace(learning_rate=0.05)
    result = extract("ltr", images, dense, recipe, on_record=lambda *record: records.append(record))
    assert records[0][0] == "round_00"
    assert result.ladder.rows[0]["test_accuracy"] is not None
    assert not same_bits(result.ticket.masks, extract("ltr", images, dense).ticket.masks)


def test_the_name_of_a_recipe_makes_it_no_other(images, dense):
    named = Recipe(**{**RECIPE.model_dump(), "name": "olth"})
    records = []
    extract("ltr", images, dense, named, on_record=lambda *record: records.append(record))
    assert records[0] == ("ladder", records[0][1])


def test_rows_costs_and_trace_are_those_of_the_trained_rungs(images, dense):
    records = []
    result = extract("ltr", images, dense, on_record=lambda *record: records.append(record))
    rows = [row for label, row in records if label == "ladder"]
    assert rows == result.ladder.rows
    assert [row["rung"] for row in rows] == [0, 1, 2, 3]
    assert [row["kept"] for row in rows] == [194, 116, 69, 41]
    assert all(row["density"] == row["kept"] / 194 for row in rows)
    assert result.search_epochs == 4 * 2.0
    assert result.search_seconds == sum(row["seconds"] for row in rows)
    assert [row["round"] for row in result.trace] == [1, 1, 2, 2, 3, 3]
    best = min(result.trace[:2], key=lambda row: row["validation_loss"])
    assert rows[1]["early_stop_step"] == best["step"]
    assert rows[1]["early_stop_validation_loss"] == best["validation_loss"]
    assert rows[1]["validation_accuracy"] == result.trace[1]["validation_accuracy"]


def test_images_without_a_validation_part_leave_its_columns_empty():
    images = draw_images(counts=(40, 0, 20))
    result = extract("ltr", images, pretrain_tiny(images), rounds=2)
    assert {row["validation_accuracy"] for row in result.ladder.rows} == {None}
    assert {row["early_stop_validation_loss"] for row in result.ladder.rows} == {None}
    assert {row["early_stop_step"] for row in result.ladder.rows} == {6}


def test_density_1_trains_nothing_and_keeps_everything(images, dense):
    result = extract("ltr", images, dense, density=1.0)
    assert (result.ticket.kept, result.search_epochs, result.ladder.rows) == (194, 0, [])
    assert same_bits(result.ticket.state, dense.rewind)


def test_the_ticket_of_the_search_is_the_last_rung_and_opens_from_its_file(images, dense, tmp_path):
    result = extract("ltr", images, dense)
    result.ticket.save(tmp_path / "t")
    assert Ticket.load(tmp_path / "t", OWN_MODEL).to_bytes() == result.ladder.ticket(-1).to_bytes()
    assert result.ticket.header.parents == {"dense": dense.fingerprint, "images": images.fingerprint}
    assert result.ticket.header.rewind_step == 2


# Guards -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"density": 0.005}, DensityError, "keeps none of 194"),
        ({"rounds": 60}, DensityError, "none of 194"),
        ({"rounds": 2, "scope": "layer", "layer_rates": {"conv1": 0.1}}, TicketError, "'conv1' matches no"),
    ],
)
def test_a_search_that_leads_nowhere_ends_before_anything_is_trained(
    images, dense, monkeypatch, options, error, message
):
    monkeypatch.setattr(imp_round, "train", must_not_train)
    with pytest.raises(error, match=message):
        extract("lth", images, dense, RECIPE.replace(learning_rate=0.01), **options)


def test_a_dense_run_of_other_images_is_refused(images, dense, monkeypatch):
    monkeypatch.setattr(imp_round, "train", must_not_train)
    with pytest.raises(TicketError, match="the dense run was trained on other images"):
        extract("ltr", draw_images(seed=1), dense)


def test_a_dense_run_of_another_model_is_refused(images, dense):
    other = replace(dense, spec=dense.spec.model_copy(update={"num_classes": 4}))
    with pytest.raises(TicketError, match="num_classes 4, but these have 3"):
        extract("ltr", images, other)


def test_a_rewind_point_after_the_end_of_the_rounds_is_refused(images, dense):
    with pytest.raises(TicketError, match="starts at step 2, but the retraining recipe ends after 1"):
        extract("ltr", images, dense, RECIPE.replace(iterations=1))


@pytest.mark.parametrize(("method", "epochs"), [("ltr", 2.0), ("lth", 3.0)])
def test_rounds_of_another_batch_size_start_at_the_epoch_of_the_rewind_point(images, dense, method, epochs):
    found = extract(method, images, dense, RECIPE.replace(batch_size=10), rounds=2, rate=0.4)
    assert [row["epochs"] for row in found.ladder.rows] == [epochs, epochs]
    header = found.ticket.header
    assert (header.rewind_step, header.steps_per_epoch) == ((2, 2) if method == "ltr" else (0, None))
    assert found.ladder.header.steps_per_epoch == header.steps_per_epoch


def test_the_dense_run_and_the_random_state_are_left_alone(images, dense):
    states = [fingerprint_tensors(state) for state in (dense.initial, dense.rewind, dense.final)]
    random = torch.get_rng_state()
    extract("ltr", images, dense)
    assert [fingerprint_tensors(state) for state in (dense.initial, dense.rewind, dense.final)] == states
    assert torch.equal(torch.get_rng_state(), random)


# The naive twin ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["lth", "ltr"])
def test_every_rung_is_that_of_the_naive_twin(images, method):
    recipe = Recipe(learning_rate=0.2, iterations=12, batch_size=40, weight_decay=1e-2)
    dense = pretrain_tiny(images, recipe=recipe, rewind_epoch=4)
    ladder = extract(method, images, dense, recipe.replace(evaluation_interval=5), rounds=5, rate=0.3).ladder

    def forward(weights, pixels):
        hidden = pixels.flatten(1)
        for layer in (1, 3, 5):
            hidden = hidden @ weights[f"network.{layer}.weight"].T + weights[f"network.{layer}.bias"]
            hidden = hidden.relu() if layer < 5 else hidden
        return hidden

    mean, std = images.mean[0], images.std[0]
    naive = imp_naive(
        forward,
        start_of(method, dense),
        [f"network.{layer}.weight" for layer in (1, 3, 5)],
        (images.train.images / 255 - mean) / std,
        images.train.labels,
        counts=[math.floor(0.7**rung * 194 + 1e-9) for rung in range(1, 6)],
        steps=12 if method == "lth" else 8,
        learning_rate=0.2,
        momentum=0.9,
        weight_decay=1e-2,
    )
    for rung, masks in enumerate(naive):
        assert same_bits(ladder.masks(rung), {name: mask.bool() for name, mask in masks.items()})
