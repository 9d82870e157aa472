import json

import pytest
import torch
from torch import nn

from lottery_pipeline.costs.latency import measure_latency
from lottery_pipeline.models.registry import build_model
from tests.tiny import tiny_spec


class Clock:
    """Stands still but for the networks below, which move it."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


class Sleeper(nn.Module):
    """Takes its seconds, one after the other, on a clock."""

    def __init__(self, name, clock, seconds, calls):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.name, self.clock, self.seconds, self.calls = name, clock, list(seconds), calls

    def __deepcopy__(self, memo):
        return self

    def forward(self, images):
        self.calls.append((self.name, images, self.training, torch.is_grad_enabled()))
        self.clock.now += self.seconds[sum(name == self.name for name, *_ in self.calls) - 1]
        return images


def sleepers(**seconds):
    clock, calls = Clock(), []
    return {name: Sleeper(name, clock, values, calls) for name, values in seconds.items()}, clock, calls


def test_medians_quartiles_and_speedups_are_those_of_the_clock():
    models, clock, _ = sleepers(dense=[9, 1, 2, 3, 4, 100], ticket=[9, 1, 1, 1, 1, 1])
    report = measure_latency(models, (1, 2, 2), batch_sizes=[1], repeats=5, warmup=1, seed=0, clock=clock)
    dense, ticket = report.rows
    assert (dense.model, dense.batch_size) == ("dense", 1)
    assert (dense.lower_seconds, dense.median_seconds, dense.upper_seconds) == (2, 3, 4)
    assert (dense.speedup, dense.speedup_low, dense.speedup_high) == (1, 1, 1)
    assert (ticket.median_seconds, ticket.speedup) == (1, 3)
    assert 1 <= ticket.speedup_low < 3 < ticket.speedup_high <= 100


def test_a_drift_that_hits_both_networks_leaves_the_ratio_exact():
    drift = [1, 2, 4, 8, 16, 32]
    models, clock, _ = sleepers(dense=[2 * value for value in drift], ticket=drift)
    options = {"batch_sizes": [3], "repeats": 6, "warmup": 0, "seed": 1, "clock": clock}
    _, ticket = measure_latency(models, (1, 2, 2), **options).rows
    assert (ticket.speedup_low, ticket.speedup, ticket.speedup_high) == (2, 2, 2)


def test_networks_take_turns_and_who_begins_rotates():
    models, clock, calls = sleepers(a=[1] * 9, b=[1] * 9, c=[1] * 9)
    measure_latency(models, (1, 2, 2), batch_sizes=[1], repeats=3, warmup=2, seed=0, clock=clock)
    assert "".join(name for name, *_ in calls) == "aabbcc" + "abc" + "bca" + "cab"


def test_passes_are_in_evaluation_mode_without_gradients_on_8_bit_images():
    models, clock, calls = sleepers(a=[1] * 9)
    options = {"batch_sizes": [2, 1], "repeats": 2, "warmup": 0, "clock": clock}
    measure_latency(models, (3, 4, 4), **options, seed=0)
    _, images, training, gradients = calls[0]
    assert not training
    assert not gradients
    assert images.shape == (2, 3, 4, 4)
    assert images.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(images * 255, (images * 255).round())
    assert 0 <= images.min() < images.max() <= 1
    assert calls[2][1].shape == (1, 3, 4, 4)


def test_the_seed_decides_images_and_intervals():
    def measure(seed):
        models, clock, calls = sleepers(dense=[1, 5, 2, 7], ticket=[2, 1, 3, 1])
        options = {"batch_sizes": [1], "repeats": 4, "warmup": 0, "clock": clock}
        report = measure_latency(models, (1, 8, 8), **options, seed=seed)
        return report.rows, calls[0][1]

    rows, images = measure(3)
    again, same = measure(3)
    _, other = measure(4)
    assert rows == again
    assert torch.equal(images, same)
    assert not torch.equal(images, other)


def test_threads_are_restored_and_the_machine_is_recorded():
    before = torch.get_num_threads()
    models, clock, _ = sleepers(a=[1] * 9)
    options = {"batch_sizes": [1], "repeats": 2, "warmup": 1, "threads": before + 1, "channels_last": False}
    report = measure_latency(models, (1, 2, 2), **options, seed=0, clock=clock)
    assert torch.get_num_threads() == before
    record = json.loads(json.dumps(report.record()))
    assert record["environment"].pop("processor")
    assert record["environment"] == {
        "device": "cpu",
        "torch": torch.__version__,
        "threads": before + 1,
        "channels_last": False,
        "warmup": 1,
        "repeats": 2,
    }


def test_threads_are_restored_when_a_network_fails():
    before = torch.get_num_threads()
    with pytest.raises(RuntimeError):
        measure_latency({"a": nn.Linear(3, 2)}, (1, 2, 2), threads=before + 1, seed=0)
    assert torch.get_num_threads() == before


def test_real_networks_are_timed_and_stay_as_they_were():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(16, 2))
    before = {key: value.clone() for key, value in model.state_dict().items()}
    rows = measure_latency({"a": model, "b": model}, (3, 4, 4), batch_sizes=(1, 8), repeats=3, seed=0).rows
    assert [(row.model, row.batch_size) for row in rows] == [("a", 1), ("b", 1), ("a", 8), ("b", 8)]
    assert all(0 < row.lower_seconds <= row.median_seconds <= row.upper_seconds for row in rows)
    assert model.training
    assert model[0].weight.is_contiguous()
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"repeats": 1}, "repeats must be at least 2, not 1"),
        ({"warmup": -1}, "warmup must be at least 0"),
        ({"threads": 0}, "threads must be at least 1"),
        ({"batch_sizes": (0,)}, "batch_sizes must be whole numbers of at least 1"),
        ({"batch_sizes": ()}, "batch_sizes must be"),
        ({"models": {}}, "no network"),
        ({"models": {"a": nn.Linear(4, 2), "b": nn.Linear(4, 2, device="meta")}}, "on one device, not on"),
    ],
)
def test_wrong_requests_are_refused(wrong, message):
    arguments = {"models": {"a": nn.Linear(4, 2)}, "image_shape": (1, 2, 2), "seed": 0, **wrong}
    with pytest.raises(ValueError, match=message):
        measure_latency(**arguments)


def test_networks_are_timed_in_contiguous_memory_if_one_must_stay_so():
    name = "tests.user_networks:flatten_by_view"
    model = build_model(tiny_spec(name), seed=0, allow_factory=name)
    report = measure_latency({"dense": model}, (1, 4, 4), batch_sizes=[2], repeats=2, warmup=0, seed=0)
    assert report.environment["channels_last"] is False
