import json

import pytest

import lottery_pipeline.methods.imp.round as imp_round
from lottery_pipeline.reproducibility.checkpoints import Checkpoints
from lottery_pipeline.search.extraction import Extraction
from tests.tiny import draw_images, extract, must_not_train, pretrain_tiny, timeless, without_clock


@pytest.fixture(scope="module")
def images():
    return draw_images()


@pytest.fixture(scope="module")
def dense(images):
    return pretrain_tiny(images)


class KilledError(Exception):
    pass


def collect(records, limit=None):
    def on_record(label, row):
        records.append((label, json.dumps(timeless([row]))))
        if len(records) == limit:
            raise KilledError

    return on_record


def test_a_search_killed_at_any_record_resumes_and_ends_the_same(images, dense, tmp_path):
    expected = []
    whole = extract("ltr", images, dense, on_record=collect(expected))
    assert len(expected) == 4 + 3 * 2
    for moment in range(1, len(expected) + 1):
        folder = tmp_path / str(moment)
        with pytest.raises(KilledError):
            extract(
                "ltr",
                images,
                dense,
                checkpoints=Checkpoints(folder, interval_seconds=0),
                on_record=collect([], limit=moment),
            )
        records = []
        resumed = extract(
            "ltr",
            images,
            dense,
            checkpoints=Checkpoints(folder, interval_seconds=0),
            on_record=collect(records),
        )
        assert resumed.ticket.to_bytes() == whole.ticket.to_bytes()
        assert without_clock(resumed.ladder) == without_clock(whole.ladder)
        assert timeless(resumed.trace) == timeless(whole.trace)
        assert records == expected
        assert len(list(folder.iterdir())) == 1  # the finished search; its rounds are cleared


def test_a_search_killed_again_and_again_ends_the_same(images, dense, tmp_path):
    whole = extract("lth", images, dense)
    for limit in (1, 2, 4, 5, 7, 9):
        with pytest.raises(KilledError):
            extract(
                "lth",
                images,
                dense,
                checkpoints=Checkpoints(tmp_path, interval_seconds=0),
                on_record=collect([], limit=limit),
            )
    resumed = extract("lth", images, dense, checkpoints=Checkpoints(tmp_path))
    assert resumed.ticket.to_bytes() == whole.ticket.to_bytes()
    assert without_clock(resumed.ladder) == without_clock(whole.ladder)


def test_a_finished_search_is_not_done_again_and_can_be_cleared(images, dense, tmp_path, monkeypatch):
    first = extract("ltr", images, dense, checkpoints=Checkpoints(tmp_path))
    monkeypatch.setattr(imp_round, "train", must_not_train)
    checkpoints = Checkpoints(tmp_path)
    again = extract("ltr", images, dense, checkpoints=checkpoints)
    assert again.ladder.to_bytes() == first.ladder.to_bytes()
    checkpoints.clear_used()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("change", [{"seed": 1}, {"rounds": 3, "rate": 0.5}, {"density": 0.1}])
def test_a_checkpoint_of_another_search_is_not_taken(images, dense, tmp_path, change):
    extract("ltr", images, dense, checkpoints=Checkpoints(tmp_path))
    fresh = extract("ltr", images, dense, **change)
    resumed = extract("ltr", images, dense, checkpoints=Checkpoints(tmp_path), **change)
    assert isinstance(resumed, Extraction)
    assert resumed.ticket.to_bytes() == fresh.ticket.to_bytes()


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_kill_between_the_two_files_of_a_round_leaves_no_rubbish(
    images, dense, tmp_path, monkeypatch, number
):
    calls = []

    def die(_self, fingerprint):
        calls.append(fingerprint)
        if len(calls) == number:
            raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "clear", die)
        with pytest.raises(KilledError):
            extract("ltr", images, dense, checkpoints=Checkpoints(tmp_path))
    assert tmp_path.joinpath(f"{calls[-1]}.safetensors").exists()
    resumed = extract("ltr", images, dense, checkpoints=Checkpoints(tmp_path))
    assert resumed.ticket.to_bytes() == extract("ltr", images, dense).ticket.to_bytes()
    assert not tmp_path.joinpath(f"{calls[-1]}.safetensors").exists()
