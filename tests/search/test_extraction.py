"""What every method is given, and what follows from it."""

from dataclasses import FrozenInstanceError, replace

import pytest
import torch

from lottery_pipeline import __version__
from lottery_pipeline.reproducibility.fingerprints import fingerprint
from lottery_pipeline.sparsity.masks import full_masks
from lottery_pipeline.tickets import TicketError
from tests.tiny import draw_images, pretrain_tiny, same_bits, search_for


@pytest.fixture(scope="module")
def images():
    return draw_images()


@pytest.fixture(scope="module")
def dense(images):
    return pretrain_tiny(images)


def test_a_search_cannot_be_changed_and_its_device_is_chosen(images, dense):
    search = search_for(images, dense)
    assert search.place == torch.device("cpu")
    with pytest.raises(FrozenInstanceError):
        search.seed = 1


def test_a_dense_run_of_other_images_is_refused_at_once(images, dense):
    with pytest.raises(TicketError, match="the dense run was trained on other images"):
        search_for(draw_images(seed=9), dense)


def test_the_start_points_are_theta_0_and_theta_k(images, dense):
    search = search_for(images, dense)
    assert search.start("initial").step == 0
    assert same_bits(search.start("initial").state, dense.initial)
    assert search.start("rewind").step == dense.rewind_step > 0
    assert same_bits(search.start("rewind").state, dense.rewind)


def test_a_network_is_built_with_the_weights_that_are_given(images, dense):
    search = search_for(images, dense)
    assert same_bits(search.build(dense.final).state_dict(), dense.final)


def test_a_fingerprint_covers_images_dense_run_seed_and_all_that_is_named(images, dense):
    search = search_for(images, dense, seed=3)
    expected = {"computation": "own", "version": __version__, "seed": 3, "options": {"density": 0.5}}
    expected |= {"dense": dense.fingerprint, "images": images.fingerprint}
    assert search.fingerprint("own", options={"density": 0.5}) == fingerprint(expected)
    others = [
        search.fingerprint("other", options={"density": 0.5}),
        search.fingerprint("own", options={"density": 0.4}),
        search_for(images, dense, seed=4).fingerprint("own", options={"density": 0.5}),
        search_for(images, replace(dense, fingerprint="0" * 64), seed=3).fingerprint(
            "own", options={"density": 0.5}
        ),
    ]
    assert len({fingerprint(expected), *others}) == 5
    # What does not determine a result is left out.
    assert replace(search, on_record=print).fingerprint("own", options={"density": 0.5}) == fingerprint(
        expected
    )


def test_a_ticket_names_its_parents_seed_and_start(images, dense):
    search = search_for(images, dense, seed=5)
    start = search.start("rewind")
    masks = full_masks(
        {name: t for name, t in dense.final.items() if name.endswith("weight") and t.dim() > 1}
    )
    header = search.make_ticket("own", masks, start).header
    assert (header.method, header.seed, header.rewind_step) == ("own", 5, dense.rewind_step)
    assert header.parents == {"dense": dense.fingerprint, "images": images.fingerprint}
