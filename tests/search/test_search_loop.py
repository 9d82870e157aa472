import json

import pytest
import torch

from lottery_pipeline.models.registry import build_model
from lottery_pipeline.reproducibility.checkpoints import Checkpoints
from lottery_pipeline.search.search_loop import SearchLoop
from lottery_pipeline.training.recipe import Recipe
from lottery_pipeline.training.result import DivergenceError
from tests.tiny import draw_images, spec_for, timeless
from tests.training.tape import Tape, record_steps

RECIPE = Recipe(learning_rate=0.5, epochs=4, batch_size=16)  # 3 steps an epoch
FINGERPRINT = "f" * 64


class KilledError(Exception):
    pass


class Counting:
    """Learns a random sum of what it saw; dies, or loses its numbers, when told."""

    columns = ("seen", "rate")

    def __init__(self, *, dies_at=None, infinite_at=None):
        self.total, self.number, self.last = (torch.zeros(n, dtype=torch.float64) for n in (3, 1, ()))
        self.generator = torch.Generator()
        self.generators = (self.generator,)
        self.dies_at, self.infinite_at = dies_at, infinite_at

    @property
    def scores(self):
        return self.total

    def modules(self):
        return []

    def prepare(self, number):
        if number == self.dies_at:
            raise KilledError
        self.number.fill_(number + 1)
        self.last.fill_(float("inf") if number == self.infinite_at else 0.0)
        self.generator.manual_seed(number)

    def step(self, inputs, labels, rate):
        drawn = torch.rand(3, generator=self.generator, dtype=torch.float64)
        self.total += drawn * rate * self.number * (labels.double() @ inputs.mean((1, 2, 3)).double())
        return torch.stack([self.total[0] + self.last, torch.ones((), dtype=torch.float64) * rate])

    def tensors(self):
        return {"total": self.total}

    def load(self, tensors):
        self.total.copy_(tensors["total"])


@pytest.fixture(scope="module")
def images():
    return draw_images()


def loop(images, learner, *, checkpoints=None, on_record=None, seed=0, normalise=None):
    return SearchLoop(
        learner,
        images,
        RECIPE,
        seed=seed,
        device=torch.device("cpu"),
        normalise=normalise,
        fingerprint=FINGERPRINT,
        checkpoints=checkpoints,
        on_record=on_record,
        label="counting",
    )


def test_every_step_leaves_a_row_and_every_epoch_a_record(images):
    records = []
    result = loop(images, Counting(), on_record=lambda *record: records.append(record)).to_the_end()
    assert [row["step"] for row in result.trace] == list(range(1, 13))
    assert {row["rate"] for row in result.trace} == {0.5}
    assert result.epochs == 4
    assert [(label, row["epoch"], row["step"]) for label, row in records] == [
        ("search", epoch, 3 * epoch) for epoch in range(1, 5)
    ]
    mean = sum(row["seen"] for row in result.trace[3:6]) / 3
    assert records[1][1]["seen"] == pytest.approx(mean)
    assert sum(row["seconds"] for _, row in records) == pytest.approx(result.seconds)


def test_a_search_killed_at_any_step_resumes_and_ends_the_same(images, tmp_path):
    whole, expected = Counting(), []
    trace = loop(images, whole, on_record=lambda _label, row: expected.append(row)).to_the_end().trace
    for step in range(12):
        folder = tmp_path / str(step)
        checkpoints = Checkpoints(folder, interval_seconds=0)
        dying = loop(images, Counting(dies_at=step), checkpoints=checkpoints)
        with pytest.raises(KilledError):
            dying.to_the_end()
        records, resumed = [], Counting()
        found = loop(
            images,
            resumed,
            checkpoints=Checkpoints(folder, interval_seconds=0),
            on_record=lambda _label, row, records=records: records.append(row),
        ).to_the_end()
        assert torch.equal(resumed.total, whole.total)
        assert json.dumps(found.trace) == json.dumps(trace)
        assert timeless(records) == timeless(expected)


def test_a_search_killed_inside_an_epoch_resumes_inside_it(images, tmp_path, monkeypatch):
    monkeypatch.setattr("lottery_pipeline.search.search_loop._SEGMENT_SECONDS", 0.0)
    whole = Counting()
    trace = loop(images, whole).to_the_end().trace
    checkpoints = Checkpoints(tmp_path, interval_seconds=0)
    dying = loop(images, Counting(dies_at=4), checkpoints=checkpoints)
    with pytest.raises(KilledError):
        dying.to_the_end()
    resumed = Counting(dies_at=3)  # step 3 is done: it must not come again
    found = loop(images, resumed, checkpoints=Checkpoints(tmp_path)).to_the_end()
    assert torch.equal(resumed.total, whole.total)
    assert found.trace == trace


@pytest.mark.parametrize("kind", ["captured", "eager"])
@pytest.mark.parametrize("step", [1, 4, 8])
def test_a_captured_search_resumes_an_eager_one_and_vice_versa(images, tmp_path, monkeypatch, step, kind):
    monkeypatch.setattr("lottery_pipeline.search.search_loop._SEGMENT_SECONDS", 0.0)
    whole = Counting()
    trace = loop(images, whole).to_the_end().trace
    with monkeypatch.context() as patch:
        if kind == "captured":
            record_steps(patch)
        checkpoints = Checkpoints(tmp_path, interval_seconds=0)
        dying = loop(images, Counting(dies_at=step), checkpoints=checkpoints)
        with pytest.raises(KilledError):
            dying.to_the_end()
    resumed = Counting()
    with monkeypatch.context() as patch:
        if kind == "eager":
            record_steps(patch)
        found = loop(images, resumed, checkpoints=Checkpoints(tmp_path)).to_the_end()
    assert torch.equal(resumed.total, whole.total)
    assert found.trace == trace
    assert Tape.replays or (kind, step) == ("captured", 1)  # the first step is always eager


def test_a_captured_search_diverges_at_the_step_of_an_eager_one(images, monkeypatch):
    record_steps(monkeypatch)
    with pytest.raises(DivergenceError, match="at step 8 of 12: not finite: seen;"):
        loop(images, Counting(infinite_at=7)).to_the_end()
    assert Tape.replays


def test_a_finished_search_is_not_done_again(images, tmp_path):
    first = loop(images, Counting(), checkpoints=Checkpoints(tmp_path)).to_the_end()
    again = loop(images, Counting(dies_at=0), checkpoints=Checkpoints(tmp_path)).to_the_end()
    assert again == first


def test_numbers_that_are_not_finite_end_the_search_and_are_named(images):
    with pytest.raises(DivergenceError, match=r"counting diverged at step 8 of 12: not finite: seen;"):
        loop(images, Counting(infinite_at=7)).to_the_end()


def test_the_order_of_the_images_is_the_seeds(images):
    totals = []
    for seed in (0, 0, 1):
        learner = Counting()
        loop(images, learner, seed=seed).to_the_end()
        totals.append(learner.total)
    assert torch.equal(totals[0], totals[1])
    assert not torch.equal(totals[0], totals[2])


def test_batches_are_normalised_by_the_model_that_is_searched(images):
    model = build_model(spec_for(images), seed=0)
    pixels, normalised = Counting(), Counting()
    loop(images, pixels).to_the_end()
    loop(images, normalised, normalise=model.normalise).to_the_end()
    assert not torch.equal(pixels.total, normalised.total)
