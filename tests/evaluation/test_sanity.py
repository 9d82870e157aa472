from dataclasses import replace

import pytest
import torch

import lottery_pipeline.evaluation.sanity as sanity
from lottery_pipeline.evaluation.metrics import evaluate_ticket
from lottery_pipeline.evaluation.retraining import retrain_ticket
from lottery_pipeline.evaluation.sanity import CHECKS, check_sanity
from lottery_pipeline.methods import METHODS
from lottery_pipeline.options import ImpOptions
from lottery_pipeline.reproducibility.checkpoints import Checkpoints
from lottery_pipeline.reproducibility.fingerprints import fingerprint_tensors
from lottery_pipeline.tickets import TicketError
from tests.evaluation.score_methods import Options, ScoreMethod
from tests.tiny import RECIPE, draw_images, must_not_train, pretrain_tiny, search_for

IMP = ImpOptions(rounds=2, rate=0.6)
CLOCK = {"seconds": 0}


@pytest.fixture(scope="module")
def images():
    return draw_images()


@pytest.fixture(scope="module")
def dense(images):
    return pretrain_tiny(images)


def run(images, dense, *, method="score", extract=None, options=None, checks=CHECKS, **given):
    return check_sanity(
        search_for(images, dense, **given),
        method=method,
        extract=extract or ScoreMethod(looks=True),
        options=options or Options(),
        checks=checks,
    )


@pytest.fixture
def trainings(monkeypatch):
    """The tickets that are trained, and what they are trained with."""
    seen = []

    def spy(ticket, *args, **kwargs):
        seen.append((ticket, *args, kwargs["seed"]))
        return retrain_ticket(ticket, *args, **kwargs)

    monkeypatch.setattr(sanity, "retrain_ticket", spy)
    return seen


@pytest.mark.parametrize(
    ("method", "extract", "options", "kept"),
    [("score", ScoreMethod(looks=True), Options(), 38), ("ltr", METHODS["ltr"], IMP, 31)],
)
def test_there_is_a_row_for_each_check(images, dense, method, extract, options, kept):
    rows = run(images, dense, method=method, extract=extract, options=options)
    assert [row["check"] for row in rows] == list(CHECKS)
    for row in rows:
        assert set(row) == {
            *("method", "check", "seed", "density", "kept", "prunable", "original_accuracy"),
            *("changed_accuracy", "difference", "changed", "epochs", "seconds"),
        }
        assert (row["method"], row["seed"], row["kept"], row["prunable"]) == (method, 0, kept, 194)
        assert row["density"] == kept / 194
        assert row["difference"] == row["changed_accuracy"] - row["original_accuracy"]
        assert row["epochs"] == (3.0 if row["check"] == "reinitialise" else 2.0)
        assert row["seconds"] > 0
        assert row["changed"] > 0
    assert len({row["original_accuracy"] for row in rows}) == 1


def test_the_ticket_itself_is_trained_and_measured_as_every_ticket(images, dense):
    ticket = ScoreMethod(looks=True)(search_for(images, dense), Options()).ticket
    retraining = retrain_ticket(ticket, images, RECIPE, seed=0, device="cpu")
    metrics = evaluate_ticket(
        retraining.ticket, ticket, images, dense, history=retraining.history, device="cpu"
    )
    [row] = run(images, dense, checks=("shuffle",))
    assert row["original_accuracy"] == metrics["test_accuracy"]


def test_every_ticket_is_trained_once_on_the_true_images_with_one_seed(images, dense, trainings):
    run(images, dense)
    assert len(trainings) == 1 + len(CHECKS)
    assert len({ticket.fingerprint for ticket, *_ in trainings}) == 1 + len(CHECKS)
    for _, trained_on, recipe, seed in trainings:
        assert (trained_on is images, recipe, seed) == (True, RECIPE, 0)


def test_where_the_mask_stays_the_same_nothing_is_trained_again(images, dense, trainings):
    rows = run(images, dense, extract=ScoreMethod(), checks=("corrupted_data", "half_data"))
    assert len(trainings) == 1
    for row in rows:
        assert (row["changed"], row["difference"], row["epochs"], row["seconds"]) == (0, 0.0, 0.0, 0.0)
        assert row["changed_accuracy"] == row["original_accuracy"]


def test_a_shuffle_that_moves_nothing_is_refused_before_anything_is_trained(images, dense, trainings):
    with pytest.raises(TicketError, match="shuffle would change nothing"):
        run(images, dense, options=Options(density=1.0))
    assert trainings == []


def test_unknown_checks_and_other_images_are_refused_before_the_search(images, dense):
    with pytest.raises(TicketError, match=r"one of shuffle, .*, half_data, not 'shuffel'"):
        run(images, dense, checks=("shuffel",), extract=must_not_train)
    with pytest.raises(TicketError, match="other images"):
        run(draw_images(seed=1), dense, extract=must_not_train)


def test_the_images_the_dense_run_and_the_random_state_stay_as_they_were(images, dense):
    def snapshot():
        parts = (images.train, images.validation, images.test)
        tensors = [{"images": part.images, "labels": part.labels} for part in parts]
        return (
            [fingerprint_tensors(part) for part in [*tensors, dense.initial, dense.rewind, dense.final]],
            torch.get_rng_state().tolist(),
        )

    before = snapshot()
    run(images, dense, method="lth", extract=METHODS["lth"], options=IMP)
    assert snapshot() == before


def test_records_of_every_retraining_carry_check_and_seed(images, dense):
    records = []
    run(images, dense, checks=("shuffle", "reinitialise"), on_record=lambda *record: records.append(record))
    labels = ["original_seed_0"] * 2 + ["shuffle_seed_0"] * 2 + ["reinitialise_seed_0"] * 3
    assert [label for label, _ in records] == labels
    assert all(row["train_loss"] > 0 for _, row in records)


def test_checks_killed_at_any_record_end_the_same(images, dense, tmp_path):
    class KilledError(Exception):
        pass

    checks = ("corrupted_data", "reinitialise", "shuffle")
    arguments = {"method": "lth", "extract": METHODS["lth"], "options": IMP, "checks": checks}
    expected = [row | CLOCK for row in run(images, dense, **arguments)]
    for moment in range(1, 13, 2):
        records = []

        def die(*record, records=records, moment=moment):
            records.append(record)
            if len(records) == moment:
                raise KilledError

        folder = tmp_path / str(moment)
        checkpoints = Checkpoints(folder, interval_seconds=0)
        with pytest.raises(KilledError):
            run(images, dense, checkpoints=checkpoints, on_record=die, **arguments)
        checkpoints = Checkpoints(folder, interval_seconds=0)
        rows = run(images, dense, checkpoints=checkpoints, **arguments)
        assert [row | CLOCK for row in rows] == expected
        checkpoints.clear_used()
        assert list(folder.iterdir()) == []


def test_finished_rows_are_read_and_only_the_missing_ones_made(images, dense, tmp_path, trainings):
    checkpoints = Checkpoints(tmp_path, interval_seconds=0)
    first = run(images, dense, checkpoints=checkpoints, checks=("shuffle",))
    assert len(trainings) == 2
    both = run(images, dense, checkpoints=checkpoints, checks=("inversion", "shuffle"))
    assert len(trainings) == 3
    assert both[1:] == first
    again = run(
        images, dense, checkpoints=checkpoints, checks=("inversion", "shuffle"), extract=must_not_train
    )
    assert again == both


def test_rows_of_other_methods_options_and_seeds_are_kept_apart_in_one_file(images, dense, tmp_path):
    checkpoints = Checkpoints(tmp_path, interval_seconds=0)
    dense_runs = (dense, pretrain_tiny(images, seed=1))

    def run_all():
        return [
            run(images, run_of_seed, checkpoints=checkpoints, checks=("shuffle",), **changes)
            for run_of_seed in dense_runs
            for changes in ({}, {"method": "other"}, {"options": Options(density=0.1)})
        ]

    first = run_all()
    assert len({(row["method"], row["seed"], row["kept"]) for [row] in first}) == 6
    assert len(list(tmp_path.iterdir())) == 1
    assert run_all() == first


def test_a_dense_run_of_another_network_is_another_subject(images, dense, tmp_path, trainings):
    checkpoints = Checkpoints(tmp_path, interval_seconds=0)
    run(images, dense, checkpoints=checkpoints, checks=("shuffle",))
    run(images, replace(dense, fingerprint="c" * 64), checkpoints=checkpoints, checks=("shuffle",))
    assert len(trainings) == 4
