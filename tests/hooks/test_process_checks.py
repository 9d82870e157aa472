from unittest.mock import patch

import pytest
import torch

from lottery_pipeline.hooks.process_checks import check_processes
from lottery_pipeline.hooks.requests import RunRefusedError
from lottery_pipeline.training import parallel
from tests.kedro_project import load_catalog, run
from tests.training.processes import describe

WANTED = {"device", "pretraining", "retraining", "cts.extraction"}


@pytest.fixture(scope="module")
def parameters() -> dict:
    from lottery_pipeline.parameters import check_parameters

    return check_parameters(load_catalog().load("parameters"))


@pytest.fixture
def started(monkeypatch) -> None:
    """Two processes, this one is the first."""
    for name, value in describe(0, 2, 1).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(parallel, "is_joined", lambda: True)


def find_faults(parameters: dict, runner: str = "SequentialRunner", **changes) -> list[str]:
    return list(check_processes(WANTED, {**parameters, **changes}, {"runner": runner}))


def test_a_process_alone_has_nothing_to_check(parameters):
    assert find_faults(parameters, runner="kedro.runner.ParallelRunner") == []


@pytest.mark.usefixtures("started")
def test_two_processes_may_start(parameters):
    assert find_faults(parameters) == []


def test_processes_that_would_each_run_everything_are_refused(monkeypatch):
    for name, value in describe(0, 2, 1).items():
        monkeypatch.setenv(name, value)

    with pytest.raises(RunRefusedError, match=r"2 processes, and each of them would do the whole run; start"):
        run("data_preparation")


@pytest.mark.usefixtures("started")
def test_a_place_that_does_not_fit_is_said(parameters, monkeypatch):
    monkeypatch.delenv("RANK")

    (fault,) = find_faults(parameters)

    assert fault.startswith(
        "WORLD_SIZE is '2', so several processes are to train together, but RANK is not set"
    )


@pytest.mark.usefixtures("started")
def test_a_parallel_runner_is_refused(parameters):
    (fault,) = find_faults(parameters, runner="kedro.runner.ParallelRunner")

    assert fault.startswith("--runner ParallelRunner cannot be used with 2 processes")


@pytest.mark.usefixtures("started")
def test_every_batch_must_have_an_image_for_each_process(parameters, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "40")
    options = parameters["cts"].extraction.model_copy(update={"batch_size": 39})
    cts = parameters["cts"].model_copy(update={"extraction": options})

    faults = find_faults(parameters, cts=cts)

    assert [fault.split(",")[0] for fault in faults] == [
        "Parameter pretraining.batch_size is 32",
        "Parameter retraining.batch_size is 32",
        "Parameter cts.extraction.batch_size is 39",
    ]


@pytest.mark.usefixtures("started")
@pytest.mark.parametrize(
    ("device", "cards", "fault"),
    [
        (
            "cuda:0",
            1,
            "2 processes here, each of which needs a card of its own, but there are 1 CUDA devices",
        ),
        ("cuda:1", 2, "device is 'cuda:1', but with 2 processes each takes the card of its own number"),
        ("mps", 0, "which is mps here, but 2 processes can train together on cpu or cuda alone"),
        ("cuda:0", 2, ""),
    ],
)
def test_every_process_needs_a_card_of_its_own(parameters, device, cards, fault):
    with (
        patch("lottery_pipeline.training.device.pick_device", lambda name: torch.device(name)),
        patch("torch.cuda.device_count", lambda: cards),
    ):
        faults = find_faults(parameters, device=device)

    assert len(faults) == bool(fault)
    assert fault in "".join(faults)
