import json

import pytest

from lottery_pipeline.ownership.attacks import claim_trials
from lottery_pipeline.ownership.attacks.claim_trials import CLAIM_TRIALS, run_claim_trials
from lottery_pipeline.ownership.attacks.forging import FORGERIES
from lottery_pipeline.ownership.attacks.trials import run_trials
from lottery_pipeline.ownership.attacks.victim import Victim
from tests.ownership.attacks.test_attack import attack
from tests.ownership.tiny_claims import RECIPE, tiny_claim, tiny_images


@pytest.fixture(scope="module")
def signed():
    return tiny_claim()


def run(signed, names, **changes):
    given = {
        "unsigned": signed.unsigned,
        "dense": signed.dense,
        "images": tiny_images(),
        "recipe": RECIPE,
        "device": "cpu",
        **changes,
    }
    return list(run_claim_trials(names, signed.claim, signed.opened(), **given))


def test_rows_have_the_keys_of_the_other_table_in_plain_json(signed):
    victim = Victim(signed.claim.ticket, tiny_images(), RECIPE, 0, "cpu")
    [other] = run_trials([attack()], victim, signed.claim, signed.opened())
    rows = run(signed, CLAIM_TRIALS)
    assert all(set(row) == set(other) for row in rows)
    assert json.loads(json.dumps(rows, allow_nan=False)) == rows
    assert [row["attack"] for row in rows] == ["A20"] * len(FORGERIES) + ["A21"] * 3


def test_every_forgery_must_be_rejected(signed):
    rows = run(signed, ["A20"], seeds=(4,))
    assert {row["parameters"].rpartition(",")[0] for row in rows} == set(FORGERIES)
    for row in rows:
        impossible = row["parameters"] == "copied QR code, tries=0"
        assert row["held"] is (None if impossible else True)
        assert bool(row["note"]) == impossible
        assert (row["verdict"], row["detected"], row["seed"]) == ("not shown", False, 4)


def test_a_forgery_that_is_accepted_breaks_the_promise(signed, monkeypatch):
    row = {"forgery": "random keys", "tries": 5, "accepted": 1, "most_bits": 70.0, "says": "Found."}
    monkeypatch.setattr(claim_trials, "try_forgeries", lambda *_args, **_kwargs: [row])
    [shown] = run(signed, ["A20"])
    assert (shown["held"], shown["verdict"], shown["detected"], shown["bits"]) == (False, "owned", True, 70.0)


def test_the_right_key_must_restore_and_the_rest_is_reported(signed):
    first, *others = run(signed, ["A21"])
    assert (first["held"], first["pledge"]) == (True, "must")
    assert first["parameters"] == "right key, share=0.1, gap=0.00 points"
    assert first["accuracy"] > 0.9
    assert [(row["held"], row["pledge"]) for row in others] == [(None, "report")] * 2


def test_the_full_grid_has_every_share_and_kind(signed, monkeypatch):
    calls = []

    def record(*_args, share, kinds, **_kwargs):
        calls.append(share)
        return [
            {"kind": kind, "share": share, "accuracy": 0.5, "gap": 0.0, "restored": False} for kind in kinds
        ]

    monkeypatch.setattr(claim_trials, "try_unlocking", record)
    rows = run(signed, ["A21"], grid="full", seeds=(0, 1))
    assert calls == [0.01, 0.05, 0.1, 0.15] * 2
    assert len(rows) == 2 * 4 * 6
    assert rows[0]["held"] is False


def test_a_ticket_that_cannot_be_locked_has_a_note(signed):
    dense = signed.dense
    other = type(dense)(**{**dense.__dict__, "spec": dense.spec.model_copy(update={"name": "conv2"})})
    [row] = run(signed, ["A21"], dense=other)
    assert "is of another network than the dense run" in row["note"]
    assert row["held"] is None
