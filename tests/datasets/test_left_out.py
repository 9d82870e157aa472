"""What a run did without: the note beside a file that says so."""

from pathlib import Path

import pytest

from lottery_pipeline.datasets.left_out import LeftOut, read_note, remove_note, write_note
from lottery_pipeline.datasets.records import RecordDataset
from lottery_pipeline.reproducibility.sums import ChangedFileError

LEFT_OUT = LeftOut("grasp", "it cannot be differentiated twice")


def test_a_note_is_read_as_it_was_written_until_it_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    assert read_note(path) is None
    write_note(path, LEFT_OUT)
    assert read_note(path) == LEFT_OUT
    remove_note(path)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [], "nor its sum"


@pytest.mark.parametrize(
    ("node", "sentence"),
    [
        ("", "grasp is left out: it cannot be differentiated twice."),
        ("search", "grasp failed in search: it cannot be differentiated twice."),
    ],
)
def test_the_reason_is_a_sentence(node: str, sentence: str) -> None:
    assert LeftOut("grasp", "it cannot be differentiated twice", node).sentence == sentence


@pytest.mark.parametrize("changed", ['{"block": "grasp", "reason": "no time", "node": ""}', "{", "[]"])
def test_a_note_of_what_is_left_out_that_was_changed_is_named(changed: str, tmp_path: Path) -> None:
    dataset = RecordDataset(filepath=str(tmp_path / "a.json"))
    dataset.save(LEFT_OUT)
    dataset.check()
    (tmp_path / "a.json.left_out").write_text(changed)
    with pytest.raises(ChangedFileError, match=r"a\.json\.left_out was changed after it was written"):
        dataset.check()


@pytest.mark.parametrize("note", ["{", "[]", '{"block": "grasp"}'])
def test_a_note_of_an_older_version_that_says_nothing_is_named(note: str, tmp_path: Path) -> None:
    (tmp_path / "a.json.left_out").write_text(note)
    with pytest.raises(ChangedFileError, match=r"a\.json\.left_out does not say what was left out"):
        RecordDataset(filepath=str(tmp_path / "a.json")).check()
