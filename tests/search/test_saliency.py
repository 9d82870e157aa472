"""Tickets from scores: calibration images, rounds, costs."""

import math
from importlib import import_module
from itertools import pairwise

import pytest
import torch

from lottery_pipeline.methods.grasp import extract_grasp
from lottery_pipeline.methods.magnitude import extract_magnitude, magnitude_scores
from lottery_pipeline.methods.prospr import extract_prospr
from lottery_pipeline.methods.snip import extract_snip
from lottery_pipeline.methods.synflow import extract_synflow
from lottery_pipeline.models.prunable import prunable_parameters
from lottery_pipeline.options import (
    GraspOptions,
    ProsprOptions,
    SaliencyOptions,
    StartOptions,
    SynflowOptions,
)
from lottery_pipeline.reproducibility.checkpoints import Checkpoints
from lottery_pipeline.search.saliency import extract_by_scores
from lottery_pipeline.sparsity import DensityError, are_nested, count_kept, keep_top_k
from lottery_pipeline.tickets.errors import TicketError
from tests.tiny import draw_images, pretrain_tiny, same_bits, search_for

METHODS = {
    "snip": (extract_snip, SaliencyOptions),
    "grasp": (extract_grasp, GraspOptions),
    "synflow": (extract_synflow, SynflowOptions),
    "magnitude": (extract_magnitude, StartOptions),
    "prospr": (extract_prospr, ProsprOptions),
}
PRUNABLE = 194
CPU = torch.device("cpu")

every_method = pytest.mark.parametrize("method", METHODS)
in_rounds = pytest.mark.parametrize("method", ["snip", "grasp", "synflow"])


@pytest.fixture(scope="module")
def images():
    return draw_images()


@pytest.fixture(scope="module")
def dense(images):
    return pretrain_tiny(images)


def extract(method, images, dense, density, *, seed=0, checkpoints=None, **options):
    function, kind = METHODS[method]
    search = search_for(images, dense, seed=seed, checkpoints=checkpoints)
    return function(search, kind(density=density, **options))


def test_snip_and_grasp_see_the_same_images(images, dense, monkeypatch):
    seen = []

    def spy(model, images, labels, **_options):
        seen.append((images, labels))
        return magnitude_scores(model)

    monkeypatch.setattr("lottery_pipeline.methods.snip.snip_scores", spy)
    monkeypatch.setattr("lottery_pipeline.methods.grasp.grasp_scores", spy)
    extract("snip", images, dense, 0.5, seed=7, images_per_class=2)
    extract("grasp", images, dense, 0.5, seed=7, images_per_class=2)
    assert len(seen) == 2
    assert torch.equal(seen[0][0], seen[1][0])
    assert seen[0][1].bincount().tolist() == [2, 2, 2]


@every_method
@pytest.mark.parametrize("density", [1.0, 0.5, 0.05, 1 / PRUNABLE + 1e-9])
def test_exactly_k_weights_are_kept(images, dense, method, density):
    found = extract(method, images, dense, density)
    assert found.ticket.kept == math.floor(density * PRUNABLE)
    assert (found.scores is None) == (density == 1)
    assert found.ticket.header.parents == {"dense": dense.fingerprint, "images": images.fingerprint}


@every_method
def test_a_ticket_starts_where_it_was_asked_to(images, dense, method):
    for start, state, step in (("initial", dense.initial, 0), ("rewind", dense.rewind, dense.rewind_step)):
        ticket = extract(method, images, dense, 0.3, start=start).ticket
        assert ticket.method == method
        assert ticket.header.rewind_step == step
        for name, mask in ticket.masks.items():
            assert torch.equal(ticket.state[name], torch.where(mask, state[name], 0.0))


@every_method
def test_the_scores_of_an_extraction_make_its_mask(images, dense, method):
    found = extract(method, images, dense, 0.1)
    masks = keep_top_k(found.scores, found.ticket.kept)
    assert same_bits(masks, found.ticket.masks)


@every_method
def test_the_same_seed_gives_the_same_ticket(images, dense, method):
    first, second = (extract(method, images, dense, 0.1, seed=3).ticket for _ in range(2))
    assert first.to_bytes() == second.to_bytes()


@pytest.mark.parametrize("method", ["snip", "grasp", "prospr"])
def test_another_seed_draws_other_images(images, dense, method):
    first, second = (extract(method, images, dense, 0.3, seed=seed).scores for seed in (0, 1))
    assert not same_bits(first, second)


@in_rounds
def test_rounds_are_nested_and_scored_on_the_masked_network(images, dense, method, monkeypatch):
    given, module = [], import_module(f"lottery_pipeline.methods.{method}")
    score = getattr(module, f"{method}_scores")

    def spy(model, *args, masks, **options):
        given.append(masks)
        return score(model, *args, masks=masks, **options)

    monkeypatch.setattr(module, f"{method}_scores", spy)
    found = extract(method, images, dense, 0.1, rounds=4)
    counts = [math.floor(0.1 ** (number / 4) * PRUNABLE) for number in (1, 2, 3, 4)]
    assert found.trace == [{"round": number, "kept": kept} for number, kept in enumerate(counts, start=1)]
    chain = [*given, found.ticket.masks]
    assert [count_kept(masks) for masks in chain] == [PRUNABLE, *counts]
    assert all(are_nested(inner, outer) for outer, inner in pairwise(chain))


@in_rounds
def test_ranks_of_several_rounds_say_what_was_removed_first(images, dense, method):
    found = extract(method, images, dense, 0.1, rounds=4)
    flat = torch.cat([value.flatten() for value in found.scores.values()])
    assert sorted(flat.tolist()) == list(range(1, PRUNABLE + 1))
    assert same_bits(keep_top_k(found.scores, found.ticket.kept), found.ticket.masks)
    after_one = extract(method, images, dense, found.trace[0]["kept"] / PRUNABLE + 1e-9, rounds=1)
    assert same_bits(keep_top_k(found.scores, found.trace[0]["kept"]), after_one.ticket.masks)


def test_inverted_scores_keep_what_was_removed_first(images, dense):
    given = []

    def score(model, *, masks, ignore_layers):
        given.append(masks)
        weights = prunable_parameters(model)
        return {name: (weight.detach() * masks[name]).abs() for name, weight in weights.items()}

    found = extract_by_scores(
        "own",
        score,
        search_for(images, dense),
        StartOptions(density=0.25),
        rounds=2,
        images_per_round=10,
    )
    lowest = keep_top_k({name: -value for name, value in found.scores.items()}, PRUNABLE - 97)
    assert count_kept(given[1]) == 97
    for name, mask in lowest.items():
        assert torch.equal(mask, ~given[1][name])
    magnitudes = {name: dense.initial[name].abs() for name in lowest}
    for count in (10, 60, 120):
        assert same_bits(keep_top_k(found.scores, count), keep_top_k(magnitudes, count))
    assert found.search_epochs == 2 * 10 / 40


def test_equal_scores_go_by_index_in_every_round(images, dense):
    def score(model, *, masks, ignore_layers):
        return {name: torch.ones_like(weight) for name, weight in prunable_parameters(model).items()}

    for rounds in (1, 3):
        found = extract_by_scores(
            "own",
            score,
            search_for(images, dense),
            StartOptions(density=0.5),
            rounds=rounds,
        )
        flat = torch.cat([mask.flatten() for mask in found.ticket.masks.values()])
        assert flat.tolist() == [True] * 97 + [False] * 97
        assert same_bits(keep_top_k(found.scores, 97), found.ticket.masks)


def test_the_search_is_counted_in_images_of_a_training_step(images, dense):
    def cost(method, **options):
        return extract(method, images, dense, 0.5, **options).search_epochs

    assert cost("snip", images_per_class=2, rounds=3) == 3 * 6 / 40
    assert cost("grasp", images_per_class=2, rounds=3) == 3 * 3 * 6 / 40
    assert cost("synflow", rounds=8) == 8 / 40
    assert cost("magnitude") == 0
    assert cost("prospr", steps=2, batch_size=10) == (2 * 2 + 1) * 10 / 40
    assert cost("prospr", steps=2, batch_size=10, first_order=True) == (2 + 1) * 10 / 40


@in_rounds
def test_a_killed_search_resumes_in_its_round_with_the_same_bits(
    images, dense, method, monkeypatch, tmp_path
):
    module = import_module(f"lottery_pipeline.methods.{method}")
    scores, calls = getattr(module, f"{method}_scores"), []

    def score(*arguments, **options):
        calls.append(options["masks"])
        if len(calls) == 4:
            raise KeyboardInterrupt
        return scores(*arguments, **options)

    whole = extract(method, images, dense, 0.1, rounds=6)
    monkeypatch.setattr(module, f"{method}_scores", score)
    checkpoints = Checkpoints(tmp_path, interval_seconds=0)
    with pytest.raises(KeyboardInterrupt):
        extract(method, images, dense, 0.1, rounds=6, checkpoints=checkpoints)
    resumed = extract(method, images, dense, 0.1, rounds=6, checkpoints=checkpoints)
    assert len(calls) == 4 + 3
    assert same_bits(calls[4], calls[3])
    assert same_bits(resumed.ticket.masks, whole.ticket.masks)
    assert same_bits(resumed.scores, whole.scores)
    assert resumed.trace == whole.trace
    assert resumed.search_epochs == whole.search_epochs


@pytest.mark.parametrize("other", [{"seed": 1}, {"start": "rewind"}, {"rounds": 5}])
def test_the_rounds_of_another_search_are_not_taken_up(images, dense, other, tmp_path):
    checkpoints = Checkpoints(tmp_path, interval_seconds=0)
    extract("snip", images, dense, 0.1, rounds=6, checkpoints=checkpoints)
    assert list(tmp_path.iterdir()) != []
    found = extract("snip", images, dense, 0.1, checkpoints=checkpoints, **{"rounds": 6, **other})
    alone = extract("snip", images, dense, 0.1, **{"rounds": 6, **other})
    assert same_bits(found.ticket.masks, alone.ticket.masks)
    assert found.trace == alone.trace


@every_method
def test_images_of_another_data_set_are_refused(dense, method):
    with pytest.raises(TicketError, match="trained on other images"):
        extract(method, draw_images(seed=9), dense, 0.5)


@every_method
def test_a_density_that_keeps_nothing_is_an_error(images, dense, method):
    with pytest.raises(DensityError, match="keeps none of 194"):
        extract(method, images, dense, 0.001)


def test_ranks_are_not_computed_before_somebody_asks(monkeypatch):
    def refuse(*_):
        raise AssertionError("nobody has asked")

    images = draw_images()
    monkeypatch.setattr("lottery_pipeline.search.score_rounds.rank_removals", refuse)
    found = extract("synflow", images, pretrain_tiny(images), 0.3, rounds=2)
    with pytest.raises(AssertionError, match="nobody has asked"):
        _ = found.scores
