"""What each check changes; the masks of the checks on other images are found by hand here."""

from dataclasses import replace

import pytest
import torch

from lottery_pipeline.evaluation.alterations import alter_ticket, pretrain_again
from lottery_pipeline.evaluation.corruption import corrupt_images, halve_images
from lottery_pipeline.methods import METHODS
from lottery_pipeline.models.registry import build_model
from lottery_pipeline.options import ImpOptions
from lottery_pipeline.reproducibility.seeds import derive_seed
from lottery_pipeline.sparsity.masks import count_kept
from lottery_pipeline.sparsity.selection import keep_top_k
from lottery_pipeline.tickets import TicketError
from lottery_pipeline.training.dense import pretrain
from tests.evaluation.score_methods import PRUNABLE, Options, ScoreMethod
from tests.tiny import OWN_MODEL, RECIPE, draw_images, pretrain_tiny, same_bits, search_for

IMP = ImpOptions(rounds=2, rate=0.6)


@pytest.fixture(scope="module")
def images():
    return draw_images()


@pytest.fixture(scope="module")
def dense(images):
    return pretrain_tiny(images)


def alter(images, dense, check, extract=None, options=None):
    search = search_for(images, dense, seed=dense.seed)

    def find(given, **changes):
        chosen = (options or Options()).model_copy(update=changes)
        return (extract or ScoreMethod(looks=True))(given, chosen)

    found = find(search)
    changed, count = alter_ticket(search, find, found, check)
    return found.ticket, changed, count


def masked(state, masks):
    return {
        name: torch.where(masks[name], state[name], 0.0) if name in masks else state[name] for name in state
    }


def same_masks(first, second):
    return all(torch.equal(first[name], second[name]) for name in PRUNABLE)


def test_shuffling_keeps_the_layer_counts_and_the_start_weights(images, dense):
    ticket, changed, count = alter(images, dense, "shuffle")
    for name in PRUNABLE:
        assert int(changed.masks[name].sum()) == int(ticket.masks[name].sum())
        assert not torch.equal(changed.masks[name], ticket.masks[name])
    assert count == sum(int((changed.masks[name] != ticket.masks[name]).sum()) for name in PRUNABLE)
    assert same_bits(changed.state, masked(dense.rewind, changed.masks))
    assert changed.header.rewind_step == dense.rewind_step == 2


def test_reinitialising_keeps_the_mask_changes_all_kept_weights_and_starts_at_step_0(images, dense):
    ticket, changed, count = alter(images, dense, "reinitialise")
    assert same_masks(changed.masks, ticket.masks)
    seed = derive_seed(0, "sanity", "reinitialise")
    fresh = build_model(dense.spec, seed=seed, allow_factory=OWN_MODEL).state_dict()
    assert same_bits(changed.state, masked(fresh, ticket.masks))
    assert count == ticket.kept == 38
    assert changed.header.rewind_step == 0


@pytest.mark.parametrize("density", [0.05, 0.2, 0.5])
def test_the_inverted_ticket_has_as_many_weights_and_none_of_the_ticket(images, dense, density):
    ticket, changed, count = alter(images, dense, "inversion", options=Options(density=density))
    assert changed.kept == ticket.kept
    assert count == 2 * ticket.kept
    assert same_bits(changed.state, masked(dense.rewind, changed.masks))


@pytest.mark.parametrize("method", ["lth", "ltr"])
def test_imp_is_inverted_to_the_smallest_trained_weights_of_the_dense_run(images, dense, method):
    _, changed, _ = alter(images, dense, "inversion", METHODS[method], IMP)
    magnitudes = torch.cat([dense.final[name].abs().flatten() for name in PRUNABLE])
    smallest = magnitudes.sort().values[:31]  # floor(0.4^2 * 194)
    kept = torch.cat([dense.final[name].abs()[changed.masks[name]] for name in PRUNABLE])
    assert torch.equal(kept.sort().values, smallest)


@pytest.mark.parametrize(
    ("check", "change"), [("corrupted_data", corrupt_images), ("half_data", halve_images)]
)
def test_a_search_that_looks_at_images_gets_the_others_and_its_mask_the_start_weights(
    images, dense, check, change
):
    method = ScoreMethod(looks=True, seen=[])
    ticket, changed, count = alter(images, dense, check, method)
    other = change(images, seed=derive_seed(0, "sanity", check))
    assert method.seen == [images.fingerprint, other.fingerprint]
    assert count > 0
    assert changed.kept == ticket.kept
    assert changed.header.parents == ticket.header.parents
    assert changed.header.parents["images"] == images.fingerprint
    assert same_bits(changed.state, masked(dense.rewind, changed.masks))


def test_a_search_that_does_not_look_at_images_finds_the_same_mask(images, dense):
    ticket, changed, count = alter(images, dense, "corrupted_data", ScoreMethod())
    assert count == 0
    assert changed.fingerprint == ticket.fingerprint


@pytest.mark.parametrize(
    ("check", "change"), [("corrupted_data", corrupt_images), ("half_data", halve_images)]
)
@pytest.mark.parametrize("method", ["lth", "ltr"])
def test_imp_on_other_images_has_a_dense_run_on_them_from_the_same_initial_weights(
    images, dense, method, check, change
):
    ticket, changed, count = alter(images, dense, check, METHODS[method], IMP)
    other = change(images, seed=derive_seed(0, "sanity", check))
    theirs = pretrain(
        other, dense.spec, RECIPE, rewind_epoch=1, seed=0, device="cpu", allow_factory=OWN_MODEL
    )
    assert same_bits(theirs.initial, dense.initial)
    expected = METHODS[method](search_for(other, theirs), IMP)
    assert same_masks(changed.masks, expected.ticket.masks)
    assert count > 0
    start = dense.initial if method == "lth" else dense.rewind
    assert same_bits(changed.state, masked(start, changed.masks))
    assert changed.header.parents == ticket.header.parents
    assert changed.header.rewind_step == ticket.header.rewind_step


@pytest.mark.parametrize("check", ["shuffle", "inversion"])
def test_a_change_that_changes_nothing_is_refused(images, dense, check):
    with pytest.raises(TicketError, match=f"{check} would change nothing of the score ticket, .* 194 of 194"):
        alter(images, dense, check, options=Options(density=1.0))


def test_a_layer_that_is_full_does_not_stop_the_others_from_being_shuffled(images, dense):
    weight = torch.full_like(dense.rewind[PRUNABLE[2]], 9.0)
    lopsided = replace(dense, rewind={**dense.rewind, PRUNABLE[2]: weight})
    ticket, changed, count = alter(images, lopsided, "shuffle", ScoreMethod())
    assert ticket.masks[PRUNABLE[2]].all()
    assert changed.masks[PRUNABLE[2]].all()
    assert count > 0


def test_start_weights_of_the_method_s_own_are_found_and_kept(images, dense):
    _, changed, _ = alter(images, dense, "shuffle", ScoreMethod(factor=-2.0))
    for name in PRUNABLE:
        assert torch.equal(
            changed.state[name], torch.where(changed.masks[name], -2 * dense.rewind[name], 0.0)
        )


def test_changes_follow_the_seed(images, dense):
    other = pretrain_again(dense, images, seed=1, device="cpu", allow_factory=OWN_MODEL)
    first, again, changed = (alter(images, run, "shuffle")[1] for run in (dense, dense, other))
    assert first.fingerprint == again.fingerprint
    assert not same_masks(first.masks, changed.masks)
    assert (count_kept(changed.masks), changed.header.seed) == (38, 1)


def test_pretraining_again_with_another_seed_is_pretraining_with_that_seed(images, dense):
    again = pretrain_again(dense, images, seed=1, device="cpu", allow_factory=OWN_MODEL)
    expected = pretrain_tiny(images, seed=1)
    assert again.fingerprint == expected.fingerprint
    assert again.rewind_step == dense.rewind_step
    assert same_bits(again.final, expected.final)


def test_the_rewind_point_on_fewer_images_is_the_same_epoch(images, dense):
    half = halve_images(images, seed=0)
    again = pretrain_again(dense, images, other=half, device="cpu", allow_factory=OWN_MODEL)
    assert (again.rewind_step, dense.rewind_step) == (1, 2)
    assert again.images_fingerprint == half.fingerprint


def test_inverting_uses_the_order_of_the_scores(images, dense):
    _, changed, _ = alter(images, dense, "inversion", ScoreMethod())
    lowest = keep_top_k({name: -dense.rewind[name].abs() for name in PRUNABLE}, 38)
    assert same_masks(changed.masks, lowest)
