"""The whole search: one training of a supernet, from the first step to the ticket."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from lottery_pipeline.methods.supertickets import check_supertickets, extract_supertickets
from lottery_pipeline.models.names import ModelError
from lottery_pipeline.models.supernet.units import find_units
from lottery_pipeline.reproducibility.checkpoints import Checkpoints
from lottery_pipeline.search.extraction import Search
from lottery_pipeline.search.outlook import Outlook
from lottery_pipeline.tickets import Ticket, TicketError
from lottery_pipeline.training import run as run_module
from lottery_pipeline.training.evaluation import evaluate
from lottery_pipeline.training.events import EventError
from tests.kedro_project import ROOT
from tests.supernets import RECIPE, TINY, ask, pretrain_supernet
from tests.tiny import draw_images, pretrain_tiny, search_for, spec_for, timeless, without_clock

# Strong enough that units die within six epochs.
STRONG = {"search": {"every": 1.0, "rho": 0.1, "rho_warmup": 0.0, "keep_rule": "ema", "gamma_threshold": 0.6}}


@pytest.fixture(scope="module")
def images():
    return draw_images(side=8)


@pytest.fixture(scope="module")
def dense(images):
    return pretrain_supernet(images)


@pytest.fixture(scope="module")
def found(images, dense):
    return extract_supertickets(search_for(images, dense, RECIPE), ask(**STRONG))


def test_the_search_removes_units_and_the_ticket_keeps_exactly_k_of_d_weights(found, dense):
    ticket = found.ticket
    assert ticket.kept == int(0.2 * dense.metrics["prunable"])
    assert ticket.header.spec.architecture
    assert ticket.header.spec.restored() == dense.spec
    assert ticket.prunable < dense.metrics["prunable"]
    assert found.trace[-1]["units"] < found.trace[0]["units"]


def test_there_is_a_row_for_each_epoch_and_the_last_one_describes_the_ticket(found):
    assert [row["epoch"] for row in found.trace] == [1, 2, 3, 4, 5, 6]
    last = found.trace[-1]
    assert last["event"] == "search, prune"
    assert last["kept"] == found.ticket.kept
    assert last["macs_theoretical"] < last["macs"] < found.trace[0]["macs"]


def test_no_unit_of_the_ticket_is_dead(found):
    model = found.ticket.build()
    parameters = dict(model.named_parameters())
    assert find_units(model)
    # The average decides, and it follows the weights to within the last few steps.
    assert all(bool((parameters[group.gamma].abs() > 0.55).all()) for group in find_units(model))


def test_the_ticket_is_what_the_last_row_measured(found, images):
    measured = evaluate(found.ticket.build(), images.validation)
    assert measured["accuracy"] == found.trace[-1]["validation_accuracy"]
    assert measured["loss"] == pytest.approx(found.trace[-1]["validation_loss"], rel=1e-5)


def test_the_ladder_holds_the_weights_that_the_last_pruning_has_masked(found):
    ladder = found.ladder
    assert ladder.last_rung == 1
    assert ladder.ticket(1).masks.keys() == found.ticket.masks.keys()
    for name, mask in found.ticket.masks.items():
        assert torch.equal(ladder.masks(1)[name], mask)
        assert torch.equal(ladder.state[name] * mask, found.ticket.state[name])
    hidden = sum(int((ladder.state[n][~m] != 0).sum()) for n, m in found.ticket.masks.items())
    assert hidden > 0.9 * (found.ticket.prunable - found.ticket.kept)


def test_the_search_counts_its_epochs_and_what_it_executed(found):
    assert found.search_epochs > 6
    (part,) = found.parts
    assert part["epochs"] == found.search_epochs
    assert 0 < part["macs"] < 8 * 40 * 3 * found.trace[0]["macs"]


def test_the_same_seed_gives_the_same_ticket_and_another_seed_another(images, dense, found):
    again = extract_supertickets(search_for(images, dense, RECIPE), ask(**STRONG))
    assert again.ticket.to_bytes() == found.ticket.to_bytes()
    assert timeless(again.trace) == timeless(found.trace)
    other = extract_supertickets(search_for(images, dense, RECIPE, seed=1), ask(**STRONG))
    assert other.ticket.to_bytes() != found.ticket.to_bytes()


def test_a_ticket_loads_in_a_process_that_knows_nothing_of_the_search(found, images, tmp_path):
    path = tmp_path / "ticket.safetensors"
    found.ticket.save(path)
    pixels = images.test.images[:4] / 255
    with torch.no_grad():
        wanted = found.ticket.build().eval()(pixels)
    torch.save(pixels, tmp_path / "pixels.pt")
    code = (
        "import sys, torch\n"
        "torch.set_num_threads(int(sys.argv[3]))\n"
        "from lottery_pipeline.tickets import Ticket\n"
        "model = Ticket.load(sys.argv[1]).build().eval()\n"
        "with torch.no_grad(): print(model(torch.load(sys.argv[2])).flatten().tolist())\n"
    )
    command = [
        sys.executable,
        "-c",
        code,
        str(path),
        str(tmp_path / "pixels.pt"),
        str(torch.get_num_threads()),
    ]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert torch.equal(torch.tensor(eval(printed)).reshape(wanted.shape), wanted)
    assert Ticket.load(path).fingerprint == found.ticket.fingerprint


class Killed(BaseException):
    """Stands for SIGKILL: nobody catches it."""


class DeadlyCheckpoints(Checkpoints):
    """Saves whenever asked and dies after save number ``last``."""

    def __init__(self, folder, *, last: int) -> None:
        super().__init__(folder, interval_seconds=0)
        self.left = last

    def save(self, *arguments):
        path = super().save(*arguments)
        if self.left == 0:
            raise Killed
        self.left -= 1
        return path


def test_a_search_killed_around_a_shrink_resumes_bit_for_bit_and_repeats_no_step(
    images, dense, found, tmp_path, monkeypatch
):
    monkeypatch.setattr(run_module, "_SEGMENT_SECONDS", 0.0)  # every step can be the last
    steps = []
    train_until = run_module.TrainingRun._train_until

    def count(run, stop):
        before = run.step
        train_until(run, stop)
        steps.extend(range(before, run.step))

    monkeypatch.setattr(run_module.TrainingRun, "_train_until", count)

    def search(checkpoints):
        given = search_for(images, dense, RECIPE, checkpoints=checkpoints)
        return extract_supertickets(given, ask(**STRONG))

    shrinks = [row["step"] for row in found.trace if "shrink" in row["event"]]
    assert shrinks == [8, 10]
    for last in (6, 7, 8):  # inside the epoch before the first shrink, right after it, and one step later
        folder = tmp_path / str(last)
        steps.clear()
        with pytest.raises(Killed):
            search(DeadlyCheckpoints(folder, last=last))
        resumed = search(Checkpoints(folder))
        assert resumed.ticket.to_bytes() == found.ticket.to_bytes()
        assert without_clock(resumed.ladder) == without_clock(found.ladder)
        assert timeless(resumed.trace) == timeless(found.trace)
        assert resumed.parts[0]["macs"] == found.parts[0]["macs"]
        assert steps == list(range(12))  # each once, before the kill or after it


def test_rows_between_events_survive_a_kill_too(images, dense, tmp_path, monkeypatch):
    monkeypatch.setattr(run_module, "_SEGMENT_SECONDS", 0.0)
    recipe = RECIPE.replace(epochs=4, evaluation_interval=3)  # epochs end after 2, 4, 6 and 8 steps

    def search(checkpoints):
        given = search_for(images, dense, recipe, checkpoints=checkpoints)
        return extract_supertickets(given, ask(**STRONG))

    calm = search(None).trace
    assert [row["step"] for row in calm] == [3, 6, 8]
    assert calm[0]["event"] == "search"  # of step 2
    with pytest.raises(Killed):
        search(DeadlyCheckpoints(tmp_path, last=1))  # after step 2, before the row
    assert timeless(search(Checkpoints(tmp_path)).trace) == timeless(calm)


def wait_for_saves(folder: Path, count: int, process: subprocess.Popen) -> bool:
    """Wait until a checkpoint was saved so often; False if the process ended before."""
    seen: set[int] = set()
    while len(seen) <= count:
        if process.poll() is not None:
            return False
        with contextlib.suppress(FileNotFoundError):  # it is being replaced
            seen |= {path.stat().st_mtime_ns for path in folder.glob("*.safetensors")}
        time.sleep(0.005)
    return True


@pytest.mark.slow
def test_a_search_killed_at_random_moments_resumes_bit_for_bit(tmp_path):
    code = Path(__file__).with_name("killed_search.py")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    wanted = tmp_path / "wanted.safetensors"
    subprocess.run([sys.executable, code, tmp_path / "calm", wanted], env=environment, check=True)
    kills, moment = 0, random.Random(0)
    result = tmp_path / "result.safetensors"
    while not result.exists():
        process = subprocess.Popen([sys.executable, code, tmp_path / "wild", result], env=environment)
        if wait_for_saves(tmp_path / "wild", moment.randint(10, 60), process):
            process.send_signal(signal.SIGKILL)
            kills += 1
        process.wait()
    assert kills >= 2
    assert result.read_bytes() == wanted.read_bytes()


def test_as_many_weights_as_in_another_network_can_be_kept(images, dense):
    given = search_for(images, dense, RECIPE.replace(epochs=1), match=spec_for(images, "lenet_300_100"))
    found = extract_supertickets(given, ask(0.01, density_of="model", search=None))
    assert found.ticket.kept == int(0.01 * (64 * 300 + 300 * 100 + 100 * 3))
    with pytest.raises(TicketError, match=r"keeps 24750 weights, but the supernet has \d+; set .*density_of"):
        extract_supertickets(given, ask(0.5, density_of="model"))


def test_an_architecture_alone_keeps_all_its_weights(images, dense):
    found = extract_supertickets(search_for(images, dense, RECIPE), ask(pruning=None, **STRONG))
    assert found.ticket.density == 1.0
    assert found.ticket.header.spec.architecture


def test_masks_alone_leave_the_architecture(images, dense):
    pruning = {"every": 2.0, "reactivation": "after_prune"}
    found = extract_supertickets(search_for(images, dense, RECIPE), ask(search=None, pruning=pruning))
    assert not found.ticket.header.spec.architecture
    assert found.ticket.kept == int(0.2 * dense.metrics["prunable"])


def test_a_pull_that_kills_every_unit_says_so_and_keeps_the_last_good_state(images, dense, tmp_path):
    options = ask(search={"rho": 50.0, "rho_warmup": 0.0, "keep_rule": "ema", "gamma_threshold": 100.0})
    given = search_for(images, dense, RECIPE, checkpoints=Checkpoints(tmp_path))
    with pytest.raises(EventError, match=r"remove every unit .*; the last good checkpoint, of step \d+, is "):
        extract_supertickets(given, options)
    assert len(list(tmp_path.glob("*.safetensors"))) == 1


def test_a_dense_run_of_another_network_is_refused(images):
    dense = pretrain_tiny(images, "lenet_300_100")
    with pytest.raises(
        TicketError, match=r"searched in a whole supernet, but the dense run is .*lenet_300_100"
    ):
        extract_supertickets(Search(images, dense, RECIPE, 0, device="cpu"), ask())


def changed(**changes):
    return {"supernet": {**TINY.model_dump(mode="json"), **changes}}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"supernet": "digits9"}, r"unknown supernet 'digits9' \(did you mean 'digits8'\?\)"),
        (changed(stages=[{"blocks": [1], "channels": [4, 8]}]), "one entry for each branch"),
        (changed(kernel_sizes=[3, 4]), "odd"),
        (changed(input_strides=1), "input_strides is unknown: .*did you mean input_stride"),
        ({}, "extraction.supernet is null.*resnet20 is not a supernet"),
        ({"epochs": 6, "search": {"every": 2.0}, "supernet": "cifar"}, "would never train again"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_runs(images, options, message):
    with pytest.raises((ModelError, ValueError), match=message):
        check_supertickets(outlook(images), ask(**options))


def outlook(images):
    return Outlook(spec_for(images, "resnet20"), True, True, "classification", RECIPE)


def test_a_search_that_removes_no_unit_says_so_and_one_that_does_is_silent(images, dense, caplog):
    recipe = RECIPE.replace(epochs=2)
    weak = extract_supertickets(search_for(images, dense, recipe), ask(search={"rho": 0.0}))
    units = sum(group.size for group in find_units(weak.ticket.build()))
    assert [row["removed"] for row in weak.trace] == [0, 0]
    assert (
        f"the search removed none of the {units} units: no scale stayed within the threshold" in caplog.text
    )
    assert "under rho = 0. " in caplog.text
    assert "search.rho to auto, raise search.gamma_threshold, train longer, or give a search.mac_budget" in (
        caplog.text
    )
    caplog.clear()
    budget = ask(search={"rho": 0.0, "mac_budget": 0.7})
    found = extract_supertickets(search_for(images, dense, recipe), budget)
    left = sum(group.size for group in find_units(found.ticket.build()))
    assert found.trace[-1]["removed"] == units - left > 0
    assert "removed none" not in caplog.text


def test_a_search_without_pruning_warns_of_no_weights_that_nobody_asked_to_keep(images, dense, caplog):
    options = ask(pruning=None, search={"rho": 0.0, "mac_budget": 0.7})
    found = extract_supertickets(search_for(images, dense, RECIPE.replace(epochs=1)), options)
    assert found.ticket.prunable < dense.metrics["prunable"]
    assert [record for record in caplog.records if record.levelname == "WARNING"] == []


def test_a_minimum_of_each_layer_that_cannot_be_met_is_said(images, dense, caplog):
    options = ask(search=None, pruning={"min_keep_per_layer": 100_000})
    found = extract_supertickets(search_for(images, dense, RECIPE.replace(epochs=1)), options)
    assert (
        "supertickets.extraction.pruning.min_keep_per_layer is 100000, which takes "
        f"{dense.metrics['prunable']} weights of the {len(found.ticket.masks)} layers together, but only "
        f"{found.ticket.kept} are kept, so some layers will have fewer."
    ) in caplog.text


def test_a_threshold_above_all_scales_is_named_as_what_to_lower(images, dense):
    options = ask(search={"rho": 0.0, "gamma_threshold": 50.0})
    with pytest.raises(EventError, match=r"threshold 50\); lower .*search.rho or search.gamma_threshold, or"):
        extract_supertickets(search_for(images, dense, RECIPE.replace(epochs=1)), options)
