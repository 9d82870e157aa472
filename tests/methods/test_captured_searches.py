"""Mask searches whose steps are captured: the same tickets, bit for bit, and no step that waits."""

import pytest

from lottery_pipeline.methods.cts.cts import ConcreteLearner, extract_cts
from lottery_pipeline.methods.edge_popup import extract_edge_popup
from lottery_pipeline.methods.gem_miner import GemLearner, extract_gem_miner
from lottery_pipeline.options import CtsOptions, FrozenWeightOptions, GemMinerOptions
from lottery_pipeline.search.extraction import Search
from lottery_pipeline.search.frozen_weights import ScoreLearner
from lottery_pipeline.sparsity import selection
from lottery_pipeline.training.host import WaitsRefused
from tests.tiny import OWN_MODEL, RECIPE, draw_images, pretrain_tiny
from tests.training.tape import Tape, listen, record_steps, said

SEARCHES = {
    **{
        f"cts {objective}": (extract_cts, CtsOptions, {"objective": objective})
        for objective in CtsOptions.model_fields["objective"].annotation.__args__
    },
    "cts lagrange": (extract_cts, CtsOptions, {"constraint": "lagrange", "concrete_form": "standard"}),
    "cts bfloat16": (extract_cts, CtsOptions, {"precision": "bfloat16"}),
    "edge-popup": (extract_edge_popup, FrozenWeightOptions, {}),
    "gem-miner": (extract_gem_miner, GemMinerOptions, {"pruning_epochs": 1}),
}


@pytest.fixture(scope="module")
def images():
    return draw_images()


@pytest.fixture(scope="module")
def dense(images):
    return pretrain_tiny(images)


def extract(images, dense, name, **changes):
    method, options, given = SEARCHES[name]
    # 40 images: two full batches and a smaller one in each of three epochs
    given = {"density": 0.25, "length": 3, "batch_size": 16, **given}
    search = Search(
        images,
        dense,
        RECIPE.replace(**changes),
        seed=0,
        device="cpu",
        checkpoints=None,
        allow_factory=OWN_MODEL,
    )
    return method(search, options(**given))


@pytest.mark.parametrize("name", SEARCHES)
def test_a_captured_search_is_the_eager_one_bit_for_bit(images, dense, monkeypatch, name):
    eager = extract(images, dense, name)

    # A tape hears nothing of NumPy, which marks the highest scores on a CPU.
    monkeypatch.setattr(selection, "_mark_on_host", selection._mark_on_device)
    record_steps(monkeypatch)
    captured = extract(images, dense, name)

    assert captured.ticket.to_bytes() == eager.ticket.to_bytes()
    assert captured.trace == eager.trace
    assert Tape.replays == 1 + 4  # one in the trial; the first two of six full batches are eager steps


@pytest.mark.parametrize("name", SEARCHES)
def test_no_step_of_a_search_makes_the_host_wait(images, dense, monkeypatch, name):
    monkeypatch.setattr(selection, "_mark_on_host", selection._mark_on_device)
    for learner in (ConcreteLearner, ScoreLearner, GemLearner):
        monkeypatch.setattr(learner, "step", watch(learner.step))
    extract(images, dense, name)


def watch(step):
    def watched(*arguments):
        with WaitsRefused("cpu"):
            return step(*arguments)

    return watched


def test_the_recipe_of_the_training_says_whether_steps_are_captured(images, dense, monkeypatch, caplog):
    listen(caplog)
    record_steps(monkeypatch)

    extract(images, dense, "edge-popup", graph=False)

    assert said(caplog) == ["edge_popup search: the steps stay eager: the recipe says so."]
    assert Tape.replays == 0
