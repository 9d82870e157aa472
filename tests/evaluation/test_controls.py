from dataclasses import replace

import pytest
import torch

import lottery_pipeline.evaluation.controls as controls
from lottery_pipeline.evaluation.controls import train_controls
from lottery_pipeline.methods import METHODS
from lottery_pipeline.models.registry import build_model
from lottery_pipeline.options import ImpOptions
from lottery_pipeline.reproducibility.checkpoints import Checkpoints
from lottery_pipeline.reproducibility.seeds import derive_seed
from lottery_pipeline.search.extraction import Search
from lottery_pipeline.sparsity.masks import count_kept
from lottery_pipeline.tickets import TicketError
from tests.tiny import OWN_MODEL, RECIPE, draw_images, pretrain_tiny

BOTH = ("random_mask", "reinitialise")
CLOCK = {"seconds": 0}


@pytest.fixture(scope="module")
def images():
    return draw_images()


@pytest.fixture(scope="module")
def dense(images):
    return pretrain_tiny(images)


@pytest.fixture(scope="module")
def ladder(images, dense):
    return METHODS["ltr"](
        Search(images, dense, RECIPE, seed=0, device="cpu", allow_factory=OWN_MODEL),
        ImpOptions(rounds=3, rate=0.5),
    ).ladder


def run(ladder, images, dense, *, rungs=(-1,), kinds=BOTH, seed=0, **others):
    return train_controls(
        ladder, images, dense, RECIPE, rungs=rungs, kinds=kinds, seed=seed, device="cpu", **others
    )


@pytest.fixture
def trainings(monkeypatch):
    """What every control started from, and with what."""
    seen = []
    train = controls.train

    def spy(model, *args, **kwargs):
        start = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        seen.append({**kwargs, "start": start})
        return train(model, *args, **kwargs)

    monkeypatch.setattr(controls, "train", spy)
    return seen


def test_controls_have_the_density_of_their_rung(images, dense, ladder):
    rows = run(ladder, images, dense, rungs=(1, -1))
    assert [(row["control"], row["rung"], row["kept"]) for row in rows] == [
        ("random_mask", 1, 97),
        ("reinitialise", 1, 97),
        ("random_mask", 3, 24),
        ("reinitialise", 3, 24),
    ]
    for row in rows:
        assert set(row) == {
            *("control", "rung", "density", "kept", "prunable", "test_accuracy", "validation_accuracy"),
            *("epochs", "seconds", "early_stop_step", "seed", "changed"),
        }
        assert row["density"] == row["kept"] / 194
        assert 0 <= row["test_accuracy"] <= 1
        assert row["changed"] > 0


def test_the_random_mask_keeps_layer_counts_and_start_weights_but_not_positions(
    images, dense, ladder, trainings
):
    [row] = run(ladder, images, dense, kinds=("random_mask",))
    [seen] = trainings
    masks = ladder.masks(-1)
    assert count_kept(seen["masks"]) == count_kept(masks)
    for name, mask in masks.items():
        assert int(seen["masks"][name].sum()) == int(mask.sum())
        assert not torch.equal(seen["masks"][name], mask)
    assert all(torch.equal(seen["start"][name], tensor) for name, tensor in dense.rewind.items())
    assert seen["start_step"] == 2
    assert row["epochs"] == 2.0
    assert row["changed"] == sum(int((seen["masks"][name] != mask).sum()) for name, mask in masks.items())


def test_reinitialising_keeps_the_mask_changes_all_weights_and_starts_at_step_0(
    images, dense, ladder, trainings
):
    [row] = run(ladder, images, dense, kinds=("reinitialise",))
    [seen] = trainings
    masks = ladder.masks(-1)
    assert all(torch.equal(seen["masks"][name], mask) for name, mask in masks.items())
    fresh = build_model(
        dense.spec, seed=derive_seed(0, "control", "reinitialise", 3), allow_factory=OWN_MODEL
    ).state_dict()
    for name, mask in masks.items():
        assert torch.equal(seen["start"][name], fresh[name])
        for other in (dense.initial, dense.rewind):
            assert (seen["start"][name] != other[name])[mask].all()
    assert seen["start_step"] == 0
    assert row["epochs"] == 3.0
    assert row["changed"] == 24


def test_a_rung_that_cannot_be_shuffled_says_that_nothing_changed(images, dense, ladder):
    [row] = run(ladder, images, dense, rungs=(0,), kinds=("random_mask",))
    assert (row["changed"], row["density"]) == (0, 1.0)


def test_controls_are_reproducible_and_follow_the_seed(images, dense, ladder, trainings):
    first, again, other = (run(ladder, images, dense, seed=seed) for seed in (0, 0, 1))
    assert [row | CLOCK for row in first] == [row | CLOCK for row in again]
    assert {row["seed"] for row in other} == {1}
    masks = [seen["masks"]["network.1.weight"] for seen in trainings]
    assert torch.equal(masks[0], masks[2])
    assert not torch.equal(masks[0], masks[4])


def test_records_carry_their_label(images, dense, ladder):
    records = []
    rows = run(ladder, images, dense, on_record=lambda *record: records.append(record))
    assert [label for label, _ in records] == [
        *["control_random_mask_03"] * 2,
        "controls",
        *["control_reinitialise_03"] * 3,
        "controls",
    ]
    assert [row for label, row in records if label == "controls"] == rows


def test_a_rung_named_twice_is_trained_once_and_no_kind_trains_nothing(images, dense, ladder):
    assert len(run(ladder, images, dense, rungs=(3, -1))) == 2
    assert run(ladder, images, dense, kinds=()) == []


def test_controls_killed_at_any_record_end_the_same(images, dense, ladder, tmp_path):
    class KilledError(Exception):
        pass

    expected = [row | CLOCK for row in run(ladder, images, dense)]
    for moment in range(1, 8):
        records = []

        def die(*record, records=records, moment=moment):
            records.append(record)
            if len(records) == moment:
                raise KilledError

        folder = tmp_path / str(moment)
        with pytest.raises(KilledError):
            run(ladder, images, dense, checkpoints=Checkpoints(folder, interval_seconds=0), on_record=die)
        checkpoints = Checkpoints(folder, interval_seconds=0)
        assert [row | CLOCK for row in run(ladder, images, dense, checkpoints=checkpoints)] == expected
        assert len(list(folder.iterdir())) == 2  # one finished record per control
        checkpoints.clear_used()
        assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rungs": (4,)}, "rung 4 is not on this ladder"),
        ({"kinds": ("random_mask", "shuffle")}, "one of random_mask, reinitialise, not 'shuffle'"),
    ],
)
def test_a_control_that_is_not_there_is_refused_before_any_is_trained(
    images, dense, ladder, trainings, changes, message
):
    with pytest.raises(TicketError, match=message):
        run(ladder, images, dense, **changes)
    assert trainings == []


def test_a_ladder_of_another_dense_run_is_refused(images, dense, ladder):
    with pytest.raises(TicketError, match="another dense run"):
        run(ladder, images, replace(dense, fingerprint="c" * 64))
    with pytest.raises(TicketError, match="other images"):
        run(ladder, draw_images(seed=1), dense)


def test_controls_of_another_batch_size_start_at_the_epoch_of_their_weights(ladder, images, dense):
    recipe = RECIPE.replace(batch_size=10)
    rows = train_controls(ladder, images, dense, recipe, rungs=(-1,), kinds=BOTH, seed=0, device="cpu")
    assert {row["control"]: row["epochs"] for row in rows} == {"random_mask": 2.0, "reinitialise": 3.0}


def test_controls_at_once_are_those_of_one_after_the_other(ladder, images, dense, tmp_path) -> None:
    expected, told = run(ladder, images, dense), []
    checkpoints = Checkpoints(tmp_path)
    found = run(
        ladder,
        images,
        dense,
        checkpoints=checkpoints,
        concurrency=2,
        on_record=lambda label, row: told.append(label),
    )
    assert [row | CLOCK for row in found] == [row | CLOCK | {"trainings_at_once": 2} for row in expected]
    assert list(dict.fromkeys(told)) == ["control_random_mask_03", "controls", "control_reinitialise_03"]
    again = run(ladder, images, dense, checkpoints=checkpoints)
    assert [row | CLOCK for row in again] == [row | CLOCK for row in expected]
    checkpoints.clear_used()
    assert not list(tmp_path.iterdir())
