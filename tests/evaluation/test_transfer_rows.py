"""A study of transfer: rows, controls, and that nothing is trained twice."""

from dataclasses import replace

import pytest

from lottery_pipeline.evaluation import transfer_rows
from lottery_pipeline.evaluation.retraining import retrain_ticket
from lottery_pipeline.evaluation.transfer import BACKBONE
from lottery_pipeline.evaluation.transfer_rows import list_arms, loss_after_a_third, study_transfer
from lottery_pipeline.methods.supertickets import extract_supertickets
from lottery_pipeline.options.supertickets_transfer import TransferOptions
from lottery_pipeline.reproducibility.checkpoints import Checkpoints
from lottery_pipeline.tickets import TicketError
from tests.evaluation.three_tasks import draw_tasks, make_study, specify
from tests.tiny import must_not_train

CLOCK = {"seconds": 0}
DENSE = {"tasks": ("segmentation", "keypoints")}


@pytest.fixture(scope="module")
def images():
    return draw_tasks()


@pytest.fixture
def trainings(monkeypatch):
    """What every retraining is given."""
    seen = []

    def spy(ticket, images, *args, **kwargs):
        seen.append((ticket, images.task, kwargs["frozen_modules"]))
        return retrain_ticket(ticket, images, *args, **kwargs)

    monkeypatch.setattr(transfer_rows, "retrain_ticket", spy)
    return seen


def test_the_arms_of_two_tasks_are_the_moved_ticket_and_its_controls():
    options = TransferOptions(controls=("dense", "direct", "random_mask"))
    assert list_arms(options, "keypoints", "segmentation") == ("transferred", "dense", "random_mask")
    assert list_arms(options, "keypoints", "keypoints") == ("supernet", "direct")
    alone = TransferOptions(controls=())
    assert list_arms(alone, "keypoints", "segmentation") == ("transferred",)
    assert list_arms(alone, "keypoints", "keypoints") == ("supernet",)


def test_there_is_a_row_for_each_source_target_and_arm(images, trainings):
    study = make_study(images, **DENSE, controls=("random_mask", "direct"))
    rows = study_transfer(study, seed=0)
    assert [(row["source"], row["target"], row["arm"]) for row in rows] == [
        ("segmentation", "segmentation", "supernet"),
        ("segmentation", "segmentation", "direct"),
        ("segmentation", "keypoints", "transferred"),
        ("segmentation", "keypoints", "random_mask"),
        ("keypoints", "keypoints", "supernet"),
        ("keypoints", "keypoints", "direct"),
        ("keypoints", "segmentation", "transferred"),
        ("keypoints", "segmentation", "random_mask"),
    ]
    for row in rows:
        assert set(row) == {
            *("source", "target", "arm", "seed", "metric", "accuracy", "validation_accuracy", "early_loss"),
            *("kept", "prunable", "density", "macs_theoretical", "macs_executed", "macs_dense"),
            *("parameters", "epochs", "seconds"),
        }
        assert row["metric"] == {"segmentation": "mIoU", "keypoints": "PCK"}[row["target"]]
        assert (row["epochs"], row["seed"]) == (3.0, 0)
    assert rows[2]["kept"] == rows[3]["kept"] < rows[4]["kept"]
    tasks = ["segmentation", *["keypoints"] * 3, *["segmentation"] * 2]
    assert [task for _, task, _ in trainings] == tasks


def test_a_shuffled_mask_draws_on_the_weights_that_the_search_had_before_its_last_pruning(images, trainings):
    study_transfer(make_study(images, **DENSE, controls=("random_mask",)), seed=0)
    moved, control = (ticket for ticket, *_ in trainings[:2])
    name = "network.stem.conv1.weight"
    back = control.masks[name] & ~moved.masks[name]
    assert bool(back.any())
    assert bool(control.state[name][back].all())


def test_with_the_joint_search_every_training_is_told_under_its_own_name(images):
    told = set()
    study = make_study(images, extract=extract_supertickets, **DENSE, controls=())
    rows = study_transfer(study, seed=0, on_record=lambda part, _: told.add(part))
    assert told == {
        *("segmentation_supernet_seed_0", "segmentation_search_seed_0"),
        *("keypoints_supernet_seed_0", "keypoints_search_seed_0"),
        "segmentation_to_keypoints_transferred_seed_0",
        "keypoints_to_segmentation_transferred_seed_0",
    }
    assert [row["density"] < 1 for row in rows] == [False, True, False, True]


def test_only_the_moved_ticket_is_frozen(images, trainings):
    study = make_study(images, **DENSE, freeze=True, controls=("reinitialised",))
    study_transfer(study, seed=0)
    assert [frozen for *_, frozen in trainings] == [BACKBONE, (), BACKBONE, ()]


def test_the_head_of_the_target_is_that_of_its_supernet_or_comes_along(images, trainings):
    for head, masked in (("fresh", False), ("carry", True)):
        study_transfer(make_study(images, **DENSE, head=head, controls=()), seed=0)
        ticket, task, _ = trainings[-1]
        assert task == "segmentation"
        masks = [mask for name, mask in ticket.masks.items() if name.startswith("network.head.")]
        assert any(not bool(mask.all()) for mask in masks) == masked
        width = ticket.header.spec.supernet.head_width()
        assert width == (1 if masked else specify(images["segmentation"]).supernet.head_width())
        trainings.clear()


def test_a_finished_row_is_not_made_again_and_other_options_share_what_they_can(images, tmp_path, trainings):
    checkpoints = Checkpoints(tmp_path, interval_seconds=0)
    study = make_study(images, **DENSE, controls=("direct",))
    first = study_transfer(study, seed=0, checkpoints=checkpoints)
    assert len(trainings) == 4
    assert all(path.is_file() for path in tmp_path.iterdir())
    idle = replace(study, extract=must_not_train)
    assert study_transfer(idle, seed=0, checkpoints=checkpoints) == first
    frozen = replace(study, options=study.options.model_copy(update={"freeze": True}))
    again = study_transfer(frozen, seed=0, checkpoints=checkpoints)
    assert len(trainings) == 4 + 2
    assert [row for row in again if row["source"] == row["target"]] == [
        row for row in first if row["source"] == row["target"]
    ]


def test_a_killed_study_ends_the_same(images, tmp_path):
    class KilledError(Exception):
        pass

    study = make_study(images, **DENSE, controls=())
    expected = [row | CLOCK for row in study_transfer(study, seed=0)]
    records = []

    def die(*record):
        records.append(record)
        if len(records) == 5:  # in the second training, that of a moved ticket
            raise KilledError

    checkpoints = Checkpoints(tmp_path, interval_seconds=0)
    with pytest.raises(KilledError):
        study_transfer(study, seed=0, checkpoints=checkpoints, on_record=die)
    rows = study_transfer(study, seed=0, checkpoints=checkpoints)
    assert [row | CLOCK for row in rows] == expected


def test_the_early_loss_is_that_of_the_first_row_after_a_third_of_the_steps():
    history = [
        {"step": step, "train_loss": loss + 1, "validation_loss": loss}
        for step, loss in ((2, 0.9), (4, 0.5), (6, 0.1))
    ]
    assert [loss_after_a_third(history, steps) for steps in (6, 7, 12, 13)] == [0.9, 0.5, 0.5, 0.1]
    assert loss_after_a_third([row | {"validation_loss": None} for row in history], 6) == 1.9


def test_what_does_not_fit_is_refused(images):
    study = make_study(images, **DENSE)
    by_model = study.extraction.model_copy(update={"density_of": "model"})
    with pytest.raises(TicketError, match="density_of must be supernet for a transfer"):
        study_transfer(replace(study, extraction=by_model), seed=0)
    other = study.spec.for_network("lenet_300_100")
    with pytest.raises(TicketError, match="a SuperTicket is found in a supernet, not in lenet_300_100"):
        study_transfer(replace(study, spec=other), seed=0)
