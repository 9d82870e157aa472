"""Local files: versions, missing files, atomic writing."""

import socket
from pathlib import Path

import pytest
from kedro.io import DatasetError, Version

from lottery_pipeline.datasets.left_out import LeftOut
from lottery_pipeline.datasets.records import RecordDataset, TextDataset


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    dataset = TextDataset(filepath=str(tmp_path / "a" / "text.html"))
    dataset.save("ü\n")
    assert dataset.load() == "ü\n"
    assert dataset.exists()


def test_a_missing_file_is_none_only_where_it_may_be(tmp_path: Path) -> None:
    path = str(tmp_path / "no.json")
    assert RecordDataset(filepath=path, missing_ok=True).load() is None
    with pytest.raises(DatasetError, match=r"no\.json"):
        RecordDataset(filepath=path).load()


def test_a_missing_version_is_none_where_it_may_be(tmp_path: Path) -> None:
    dataset = RecordDataset(filepath=str(tmp_path / "a.json"), missing_ok=True, version=Version(None, None))
    assert dataset.load() is None
    assert not dataset.exists()


def test_nothing_can_be_saved_where_a_file_may_be_missing(tmp_path: Path) -> None:
    dataset = RecordDataset(filepath=str(tmp_path / "a.json"), missing_ok=True)
    dataset.save({"accuracy": 0.5})
    dataset.save(None)
    assert dataset.load() is None
    assert not dataset.exists(), "the result of an earlier run would be taken for this one's"
    with pytest.raises(DatasetError, match="None"):
        RecordDataset(filepath=str(tmp_path / "a.json")).save(None)


def test_a_file_that_cannot_be_saved_leaves_the_old_one(tmp_path: Path) -> None:
    dataset = RecordDataset(filepath=str(tmp_path / "a.json"))
    dataset.save({"accuracy": 0.5})
    with pytest.raises(DatasetError, match="JSON"):
        dataset.save({"accuracy": float("nan")})
    assert dataset.load() == {"accuracy": 0.5}
    assert sorted(path.name for path in tmp_path.iterdir()) == [".sums", "a.json"]


def test_the_newest_version_is_loaded_unless_one_is_pinned(tmp_path: Path) -> None:
    path = str(tmp_path / "a.json")
    for version in ("2026-01-01T00.00.00.000Z", "2026-02-01T00.00.00.000Z"):
        RecordDataset(filepath=path, version=Version(None, version)).save({"version": version})
    assert RecordDataset(filepath=path, version=Version(None, None)).load()["version"].startswith("2026-02")
    pinned = RecordDataset(filepath=path, version=Version("2026-01-01T00.00.00.000Z", None))
    assert pinned.load()["version"].startswith("2026-01")
    assert pinned.stored_path() == tmp_path / "a.json" / "2026-01-01T00.00.00.000Z" / "a.json"


def test_a_version_that_a_killed_run_began_is_removed(tmp_path: Path) -> None:
    dataset = RecordDataset(
        filepath=str(tmp_path / "a.json"), version=Version(None, "2026-01-01T00.00.00.000Z")
    )
    dataset.save({"run": "whole"})
    begun = tmp_path / "a.json" / "2026-02-01T00.00.00.000Z"
    (begun / ".a.json.999999999@nobody.xyz.tmp").mkdir(parents=True)
    dataset.remove_left_overs()
    assert begun.exists(), "the writer may live on another machine"
    (begun / ".a.json.999999999@nobody.xyz.tmp").rename(
        begun / f".a.json.999999999@{socket.gethostname()}.xyz.tmp"
    )
    dataset.remove_left_overs()
    assert [path.name for path in (tmp_path / "a.json").iterdir()] == ["2026-01-01T00.00.00.000Z"]
    assert dataset.load() == {"run": "whole"}


def test_a_run_reads_the_version_it_wrote_and_not_a_newer_one_of_another(tmp_path: Path) -> None:
    path = str(tmp_path / "a.json")
    ours = RecordDataset(filepath=path, version=Version(None, "2026-01-01T00.00.00.000Z"))
    ours.save({"run": "ours"})
    RecordDataset(filepath=path, version=Version(None, "2026-02-01T00.00.00.000Z")).save({"run": "theirs"})
    assert ours.load() == {"run": "ours"}
    assert ours.resolve_load_version() == "2026-01-01T00.00.00.000Z"
    # Workers, and other entries of the same path, know what the run wrote by its version.
    worker = RecordDataset(filepath=path, version=Version(None, "2026-01-01T00.00.00.000Z"))
    assert worker.load() == {"run": "ours"}


def test_a_version_without_a_given_name_is_read_again(tmp_path: Path) -> None:
    path = str(tmp_path / "a.json")
    dataset = RecordDataset(filepath=path, version=Version(None, None))
    dataset.save({"run": "ours"})
    RecordDataset(filepath=path, version=Version(None, "9999-01-01T00.00.00.000Z")).save({"run": "theirs"})
    assert dataset.load() == {"run": "ours"}


def test_kedro_draws_one_version_for_a_save_however_deep_the_class(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    versions = iter(["2026-01-01T00.00.00.000Z", "2026-02-01T00.00.00.000Z"])
    monkeypatch.setattr("kedro.io.core.generate_timestamp", lambda: next(versions))
    dataset = RecordDataset(filepath=str(tmp_path / "a.json"), version=Version(None, None))
    dataset.save({"run": "ours"})
    assert [path.name for path in (tmp_path / "a.json").iterdir()] == ["2026-01-01T00.00.00.000Z"]


def test_before_it_wrote_one_a_run_reads_the_newest_version(tmp_path: Path) -> None:
    path = str(tmp_path / "a.json")
    RecordDataset(filepath=path, version=Version(None, "2026-01-01T00.00.00.000Z")).save({"run": "theirs"})
    assert RecordDataset(filepath=path, version=Version(None, "2026-02-01T00.00.00.000Z")).load() == {
        "run": "theirs"
    }


LEFT_OUT = LeftOut("grasp", "it cannot be differentiated twice")


@pytest.mark.parametrize("version", [None, Version(None, "2026-01-01T00.00.00.000Z")])
def test_what_is_left_out_hides_the_file_until_there_is_a_new_one(
    version: Version | None, tmp_path: Path
) -> None:
    path = str(tmp_path / "a.json")
    RecordDataset(filepath=path, version=version and Version(None, "2025-01-01T00.00.00.000Z")).save({"a": 1})
    dataset = RecordDataset(filepath=path, version=version)
    dataset.save(LEFT_OUT)
    other = RecordDataset(filepath=path, version=version)
    assert dataset.load() == other.load() == LEFT_OUT
    assert not other.exists()
    other.save({"a": 2})
    assert RecordDataset(filepath=path, version=version).load() == {"a": 2}
    assert not list(tmp_path.glob("**/a.json.left_out*"))


def test_a_pinned_version_is_read_whatever_was_left_out_since(tmp_path: Path) -> None:
    path, first = str(tmp_path / "a.json"), "2025-01-01T00.00.00.000Z"
    RecordDataset(filepath=path, version=Version(None, first)).save({"a": 1})
    RecordDataset(filepath=path, version=Version(None, "2026-01-01T00.00.00.000Z")).save(LEFT_OUT)
    assert RecordDataset(filepath=path, version=Version(first, None)).load() == {"a": 1}
