"""The whole pipeline, end to end, in the experiment of the tests."""

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from lottery_pipeline import methods
from lottery_pipeline.datasets.dense_run import DenseRunDataset
from lottery_pipeline.datasets.images import ImageSplitsDataset
from lottery_pipeline.datasets.local_files import LocalFileDataset
from lottery_pipeline.datasets.records import TextFileDataset
from lottery_pipeline.datasets.tickets import LadderDataset, TicketDataset
from lottery_pipeline.hooks.requests import RunFailedError
from lottery_pipeline.reproducibility.measured import MEASURED
from lottery_pipeline.tickets import Ticket
from tests.kedro_project import ROOT, command, load_catalog, redirected, run

CONTRACT_COLUMNS = {
    *("method", "seed", "density", "kept", "prunable", "dense_accuracy", "test_accuracy", "accuracy_delta"),
    *("search_epochs", "train_epochs", "search_seconds", "train_seconds", "macs_dense", "macs_theoretical"),
    *("macs_executed", "ticket_bytes", "fingerprint"),
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finished")
    with redirected(folder):
        run()
    return folder


@pytest.fixture
def copied(finished: Path, tmp_path: Path) -> Path:
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    return tmp_path


def reporting(folder: Path, variant: str = "base") -> Path:
    return folder / "data" / "08_reporting" / "test" / variant


MASKS = {"lth", "ltr", "cts", "snip", "grasp", "synflow"}
DEFAULT = MASKS | {"layer", "filter", "supertickets"}


def load(folder: Path, name: str, **params: Any) -> Any:
    with redirected(folder):
        return load_catalog(**params).load(name)


def test_the_leaderboard_has_a_row_for_each_method_and_the_columns_of_the_contract(finished: Path) -> None:
    table = pd.read_csv(reporting(finished) / "leaderboard.csv")
    assert set(table["method"]) == DEFAULT
    assert set(table.columns) >= CONTRACT_COLUMNS
    assert set(table["density"][table["method"].isin(MASKS)]) == {0.25}
    assert table["fingerprint"].nunique() == len(DEFAULT)


def test_the_report_is_one_page_about_both_methods(finished: Path) -> None:
    page = (reporting(finished) / "report.html").read_text(encoding="utf-8")
    assert "<html" in page
    assert "LTR" in page
    assert "LTH" in page
    assert "kedro run --env test" in page


def test_tickets_lie_where_the_contract_says_and_open_anywhere(finished: Path) -> None:
    (path,) = (finished / "data/06_models/test/base/ltr/ticket.safetensors").glob("*/ticket.safetensors")
    ticket = Ticket.load(path)
    assert ticket.density == 0.25
    assert ticket.header.rewind_step == 3
    assert ticket.build()


def test_the_ladder_has_every_rung_and_the_controls_stand_beside_the_last(finished: Path) -> None:
    rows = load(finished, "ltr.ladder_table")
    assert [row["density"] for row in rows] == [1.0, 0.5, 0.25]
    assert all(row["test_accuracy"] is not None for row in rows)
    assert [row["control"] for row in load(finished, "ltr.controls")] == ["random_mask", "reinitialise"]


def test_nothing_is_left_of_the_checkpoints(finished: Path) -> None:
    assert not list((finished / "data/work").rglob("*.safetensors"))


def test_a_ticket_is_previewed_from_its_header(finished: Path) -> None:
    with redirected(finished):
        preview = load_catalog().get("ltr.ticket").preview()
    kept = preview["columns"].index("kept")
    whole, *layers = preview["data"]
    assert whole[kept] == sum(row[kept] for row in layers) == load(finished, "ltr.ticket").kept


def test_images_and_dense_run_are_reused_when_they_are_what_is_asked_for(copied: Path) -> None:
    before = load(copied, "dense_record")
    with redirected(copied):
        run("dense_pretraining")
    assert load(copied, "dense_record") == before, "seconds would differ in a new training"
    with redirected(copied):
        run("dense_pretraining", seed=1)
    assert load(copied, "dense_record") != before


def test_the_number_of_threads_is_that_of_the_parameters(copied: Path) -> None:
    before = torch.get_num_threads()
    try:
        with redirected(copied):
            run("dense_pretraining", threads=3)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_a_rewound_ticket_of_the_stored_run_is_the_same_again(copied: Path) -> None:
    before = load(copied, "ltr.ticket").to_bytes()
    with redirected(copied):
        run("ltr")
    assert load(copied, "ltr.ticket").to_bytes() == before
    assert len(list((copied / "data/06_models/test/base/ltr/ticket.safetensors").iterdir())) == 2


def test_reporting_alone_works_from_disk_and_leaves_out_what_is_not_there(copied: Path) -> None:
    shutil.rmtree(copied / "data/07_model_output/test/base/lth")
    for file in ("leaderboard.csv", "report.html", "accuracy_against_density.json"):
        (reporting(copied) / file).unlink()
    with redirected(copied):
        run("reporting")
    assert set(pd.read_csv(reporting(copied) / "leaderboard.csv")["method"]) == DEFAULT - {"lth"}
    assert (reporting(copied) / "report.html").stat().st_size > 100_000


def test_results_from_before_there_were_records_are_reported(copied: Path) -> None:
    for record in (copied / "data/07_model_output/test/base").glob("*/record.json"):
        record.unlink()
    before = pd.read_csv(reporting(copied) / "leaderboard.csv")
    (reporting(copied) / "leaderboard.csv").unlink()
    with redirected(copied):
        run("reporting")
    pd.testing.assert_frame_equal(pd.read_csv(reporting(copied) / "leaderboard.csv"), before)


def test_a_run_reads_back_nothing_that_it_has_in_hand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(dataset: LocalFileDataset) -> Any:
        raise AssertionError(f"{dataset.path} is read back")

    kinds = (TextFileDataset, ImageSplitsDataset, DenseRunDataset, TicketDataset, LadderDataset)
    for kind in kinds:
        monkeypatch.setattr(kind, "_read", lambda dataset, _: refuse(dataset))
    with redirected(tmp_path):
        run("ltr", "reporting")
    assert (reporting(tmp_path) / "report.html").is_file()


def test_variants_do_not_touch_each_other(copied: Path) -> None:
    overview = copied / "data/03_primary/test/base/overview.json"
    before = overview.read_bytes()
    with redirected(copied):
        run("data_preparation", variant="small", data={"train_limit": 60})
    assert overview.read_bytes() == before
    assert load(copied, "data_overview", variant="small")["summary"]["train"] == 60


@pytest.mark.parametrize(("method", "rung", "density"), [("ltr", None, 0.25), ("lth", 1, 0.5)])
def test_sparse_retraining_takes_any_stored_ticket_and_any_rung(
    method: str, rung: int | None, density: float, copied: Path
) -> None:
    with redirected(copied):
        run(
            "sparse_retraining",
            ticket=method,
            sparse_retraining={"rung": rung, "epochs": 2, "learning_rate": 0.01},
        )
    metrics = load(copied, "sparse_retraining.metrics")
    assert (metrics["method"], metrics["density"]) == (method, density)
    rows = load(copied, "sparse_retraining.history")
    assert max(row["learning_rate"] for row in rows) <= 0.01
    assert load(copied, "sparse_retraining.trained_ticket").header.kind == "trained"


def test_a_rung_off_the_ladder_is_one_sentence(copied: Path) -> None:
    with redirected(copied), pytest.raises(RunFailedError, match="rung 9 is not on this ladder") as caught:
        run("sparse_retraining", sparse_retraining={"rung": 9})
    assert "\n" not in caught.value.message


def test_a_dense_run_of_other_images_is_refused(copied: Path) -> None:
    with redirected(copied):
        run("data_preparation", data={"train_limit": 60})
        with pytest.raises(RunFailedError, match="other images"):
            run("sparse_retraining")


def test_a_damaged_ticket_is_one_sentence(copied: Path) -> None:
    (path,) = (copied / "data/06_models/test/base/ltr/ticket.safetensors").glob("*/ticket.safetensors")
    path.write_bytes(path.read_bytes()[:1000])
    with redirected(copied), pytest.raises(RunFailedError, match="TicketError"):
        run("sparse_retraining")


def test_the_same_run_gives_the_same_numbers(finished: Path, tmp_path: Path) -> None:
    with redirected(tmp_path):
        run("lth")
    ours, theirs = load(tmp_path, "lth.metrics"), load(finished, "lth.metrics")
    assert ours.pop(MEASURED).keys() == theirs.pop(MEASURED).keys()
    assert ours == theirs


def test_a_relative_root_is_found_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (60, 8, 8), dtype=np.uint8)
    np.savez(tmp_path / "own.npz", x=pixels, y=np.arange(60) % 3)
    monkeypatch.chdir(tmp_path)
    with redirected(tmp_path):
        run(
            "data_preparation", data={"source": "arrays", "root": os.path.relpath(tmp_path / "own.npz", ROOT)}
        )
    assert load(tmp_path, "data_overview")["summary"]["classes"] == 3


def test_a_users_own_model_goes_all_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_network.py").write_text(
        "from torch import nn\n\n\ndef make(num_classes):\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(64, 20), nn.ReLU(), nn.Linear(20, num_classes))\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    with redirected(tmp_path):
        # A method of each kind is left: the others meet networks of users in tests of their own.
        run(model={"name": "own_network:make"}, left_out="lth grasp synflow supertickets filter")
    assert load(tmp_path, "ltr.metrics", model={"name": "own_network:make"})["prunable"] == 64 * 20 + 20 * 10
    # Two layers have no room for a mark. That is said, and ends nothing.
    assert load(tmp_path, "ownership")["verdict"] == "not signed"
    assert "no room for a mark" in (reporting(tmp_path) / "report.html").read_text(encoding="utf-8")


def test_a_method_that_fails_is_named_when_the_others_are_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("the card is gone")

    sentence = "snip failed in extract_ticket: RuntimeError: the card is gone."
    with redirected(tmp_path):
        with monkeypatch.context() as patch:
            patch.setitem(methods.METHODS, "snip", fail)
            with pytest.raises(RunFailedError) as caught:
                run("snip", "magnitude", "reporting")
        assert caught.value.message.startswith(sentence)
        assert pd.read_csv(reporting(tmp_path) / "leaderboard.csv")["method"].tolist() == ["magnitude"]
        assert sentence in (reporting(tmp_path) / "report.html").read_text(encoding="utf-8")
        assert list((tmp_path / "data/work").rglob("*.safetensors")), "the next run resumes from these"
        run("snip", "reporting")
    table = pd.read_csv(reporting(tmp_path) / "leaderboard.csv")
    assert set(table["method"]) == {"magnitude", "snip"}
    assert sentence not in (reporting(tmp_path) / "report.html").read_text(encoding="utf-8")


def test_the_command_runs_and_says_so_in_few_lines(tmp_path: Path) -> None:
    done = command(tmp_path, "run", "--env", "test", "--pipelines", "data_preparation")
    assert done.returncode == 0
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert "[1/2] data_preparation.prepare_images" in lines[0]
    assert len(lines) < 10
    assert "WARN" not in done.stderr


def test_the_package_runs_as_a_module(tmp_path: Path) -> None:
    done = command(tmp_path, "--env", "test", "--params", "seed=abc", module="lottery_pipeline")
    assert done.returncode == 1
    assert done.stderr.startswith("Error: Parameter seed is 'abc'")
