"""The arms of the study: what they train, what they report, and that nothing is trained twice."""

from dataclasses import replace

import pytest

from lottery_pipeline.evaluation import superticket_arms
from lottery_pipeline.evaluation.superticket_arms import ArmStudy, study_arms
from lottery_pipeline.methods.supertickets import extract_supertickets
from lottery_pipeline.options.supertickets_study import StudyOptions
from lottery_pipeline.reproducibility.checkpoints import Checkpoints
from lottery_pipeline.tickets import TicketError
from tests.evaluation.three_tasks import RECIPE, draw_tasks, specify
from tests.supernets import ask
from tests.tiny import must_not_train

CLOCK = {"seconds": 0}
SOME = ("dense", "two_in_one", "two_in_one_long")


@pytest.fixture(scope="module")
def images():
    return draw_tasks()["segmentation"]


def prepare(images, /, arms=SOME, **changes):
    options = StudyOptions(arms=arms, retrain=changes.pop("retrain", True))
    extraction = ask(density=0.4, search={"rho": 0.0, **changes.pop("search", {})})
    return replace(
        ArmStudy(images, specify(images), RECIPE, extraction, options, extract_supertickets, device="cpu"),
        **changes,
    )


@pytest.fixture(scope="module")
def told():
    return []


@pytest.fixture(scope="module")
def rows(images, told):
    study = prepare(images, arms=(*SOME, "search_only"), search={"mac_budget": 0.8})
    return {
        row["arm"]: row
        for row in study_arms(study, seed=0, on_record=lambda part, row: told.append((part, row)))
    }


def test_there_is_a_row_for_each_arm_in_the_order_of_the_table(rows):
    assert list(rows) == ["dense", "search_only", "two_in_one", "two_in_one_long"]
    for row in rows.values():
        assert set(row) == {
            *("arm", "seed", "metric", "found_accuracy", "found_validation_accuracy"),
            *("retrained_accuracy", "retrained_validation_accuracy"),
            *("kept", "prunable", "density", "macs_theoretical", "macs_executed", "macs_dense"),
            *("parameters", "search_epochs", "train_epochs", "epochs", "seconds"),
        }
        assert (row["seed"], row["metric"]) == (0, "mIoU")
        assert row["density"] == row["kept"] / row["prunable"]
        assert 0 <= row["found_accuracy"] <= 1
        assert row["epochs"] == row["search_epochs"] + row["train_epochs"]


def test_sizes_are_those_of_the_arm(rows):
    assert rows["dense"]["kept"] == rows["dense"]["prunable"] == rows["two_in_one"]["prunable"]
    assert rows["two_in_one"]["kept"] == rows["two_in_one_long"]["kept"] == int(0.4 * rows["dense"]["kept"])
    assert rows["two_in_one"]["kept"] < rows["search_only"]["kept"] < rows["dense"]["kept"]
    assert rows["search_only"]["macs_executed"] <= 0.8 * rows["dense"]["macs_executed"]


def test_a_long_arm_takes_as_many_epochs_as_search_and_retraining_and_is_not_retrained(rows):
    short, long = rows["two_in_one"], rows["two_in_one_long"]
    assert (rows["dense"]["epochs"], short["train_epochs"], long["train_epochs"]) == (3.0, 3.0, 0.0)
    assert long["epochs"] == pytest.approx(short["epochs"])
    assert long["retrained_accuracy"] is rows["dense"]["retrained_accuracy"] is None
    assert short["retrained_accuracy"] is not None


def test_every_training_is_told_under_its_own_name(rows, told):
    parts = {part: [row["epoch"] for own, row in told if own == part] for part, _ in told}
    assert parts == {
        "dense_seed_0": [1, 2, 3],
        "search_only_search_seed_0": [1, 2, 3],
        "search_only_retraining_seed_0": [1, 2, 3],
        "two_in_one_search_seed_0": [1, 2, 3],
        "two_in_one_retraining_seed_0": [1, 2, 3],
        "two_in_one_long_search_seed_0": [1, 2, 3, 4, 5, 6],
    }
    assert len(rows) == 4


def test_a_longer_supernet_is_trained_for_twice_as_long_and_without_retraining_nothing_is_retrained(images):
    study = prepare(images, arms=("dense", "dense_long", "two_in_one"), retrain=False)
    dense, long, found = study_arms(study, seed=1)
    assert (dense["epochs"], long["epochs"]) == (3.0, 6.0)
    assert long["kept"] == dense["kept"]
    assert (found["retrained_accuracy"], found["train_epochs"]) == (None, 0.0)


def test_a_finished_arm_is_not_trained_again(images, tmp_path, monkeypatch):
    checkpoints = Checkpoints(tmp_path, interval_seconds=0)
    first = study_arms(prepare(images, arms=("two_in_one",)), seed=0, checkpoints=checkpoints)
    monkeypatch.setattr(superticket_arms, "retrain_ticket", must_not_train)
    again = study_arms(
        prepare(images, arms=("two_in_one",), extract=must_not_train), seed=0, checkpoints=checkpoints
    )
    assert again == first
    assert [path.suffix for path in tmp_path.iterdir()] == [".safetensors"]
    with pytest.raises(AssertionError, match="nothing may be trained"):
        study_arms(
            prepare(images, arms=("two_in_one",), extract=must_not_train), seed=1, checkpoints=checkpoints
        )


def test_arms_killed_at_any_record_end_the_same(images, tmp_path):
    class KilledError(Exception):
        pass

    study = prepare(images, arms=("two_in_one",))
    expected = [row | CLOCK for row in study_arms(study, seed=0)]
    for moment in (5, 8):  # in the search, and in the retraining
        records = []

        def die(*record, records=records, moment=moment):
            records.append(record)
            if len(records) == moment:
                raise KilledError

        checkpoints = Checkpoints(tmp_path / str(moment), interval_seconds=0)
        with pytest.raises(KilledError):
            study_arms(study, seed=0, checkpoints=checkpoints, on_record=die)
        rows = study_arms(study, seed=0, checkpoints=checkpoints)
        assert [row | CLOCK for row in rows] == expected


def test_what_does_not_fit_is_refused(images):
    with pytest.raises(TicketError, match="the supernet was made for segmentation"):
        study_arms(prepare(images, images=draw_tasks()["keypoints"]), seed=0)
    broken = prepare(images).extraction.model_copy(update={"search": None})
    with pytest.raises(ValueError, match=r"supertickets\.extraction\.search is null"):
        study_arms(prepare(images, extraction=broken), seed=0)
