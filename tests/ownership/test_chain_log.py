import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone

import pytest

from lottery_pipeline.ownership import chain_log
from lottery_pipeline.ownership.chain_log import append, check_log, find_entry, log_bytes, parse_log, read_log
from lottery_pipeline.ownership.errors import OwnershipError
from tests.ownership.owners import chain, sha

NOON = datetime(2026, 5, 1, 12, 0, 0, 999_999, tzinfo=UTC)
TIMES = ("2026-05-01T12:00:00Z", "2026-05-01T12:00:00Z", "2026-05-01T12:00:01Z")
DIGESTS = (sha("a"), sha("b"), sha("c"))
ROWS = list(zip(TIMES, DIGESTS, strict=True))


def test_the_first_entry_by_hand(tmp_path):
    entry = append(tmp_path / "folder" / "log", bytes.fromhex(sha("a")), NOON)
    body = f'{{"digest":"{sha("a")}","index":0,"previous":"{"0" * 64}","time":"2026-05-01T12:00:00Z"}}'

    assert entry.entry == hashlib.sha256(body.encode()).hexdigest()
    assert entry.moment == datetime(2026, 5, 1, 12, tzinfo=UTC)
    line = f'{{"digest":"{sha("a")}","entry":"{entry.entry}",{body.split(",", 1)[1]}\n'
    assert (tmp_path / "folder" / "log").read_text() == line


def test_a_log_grows_as_one_written_by_hand(tmp_path):
    for number, (_, digest) in enumerate(ROWS):
        append(tmp_path / "log", bytes.fromhex(digest), NOON + timedelta(seconds=number // 2))

    assert read_log(tmp_path / "log") == chain(ROWS)


def test_times_are_written_in_utc(tmp_path):
    east = timezone(timedelta(hours=5))
    assert append(tmp_path / "log", bytes(32), NOON.astimezone(east)).time == "2026-05-01T12:00:00Z"


def test_a_digest_is_logged_once(tmp_path):
    first = append(tmp_path / "log", bytes(32), NOON)
    append(tmp_path / "log", bytes([1]) * 32, NOON)
    again = append(tmp_path / "log", bytes(32), NOON + timedelta(days=1))

    assert again == first
    assert len(read_log(tmp_path / "log")) == 2


def test_time_does_not_go_back(tmp_path):
    append(tmp_path / "log", bytes(32), NOON)
    before = (tmp_path / "log").read_bytes()

    with pytest.raises(OwnershipError, match="later than now"):
        append(tmp_path / "log", bytes([1]) * 32, NOON - timedelta(seconds=1))
    assert (tmp_path / "log").read_bytes() == before


def test_a_time_without_zone_and_a_short_digest_are_refused(tmp_path):
    for digest, now in ((bytes(32), NOON.replace(tzinfo=None)), (bytes(31), NOON)):
        with pytest.raises(OwnershipError, match="32 bytes and times with a time zone"):
            append(tmp_path / "log", digest, now)


def test_a_damaged_log_is_not_continued(tmp_path):
    append(tmp_path / "log", bytes(32), NOON)
    damaged = (tmp_path / "log").read_bytes().replace(b"12:00:00", b"11:00:00")
    (tmp_path / "log").write_bytes(damaged)

    with pytest.raises(OwnershipError, match="chain of hashes"):
        append(tmp_path / "log", bytes([1]) * 32, NOON)
    assert (tmp_path / "log").read_bytes() == damaged


def test_writers_at_the_same_time_lose_nothing(tmp_path):
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: append(tmp_path / "log", bytes([number]) * 32, NOON), range(12)))

    assert len(read_log(tmp_path / "log")) == 12


def test_a_full_log_takes_no_more(tmp_path, monkeypatch):
    monkeypatch.setattr(chain_log, "MAX_ENTRIES", 1)
    append(tmp_path / "log", bytes(32), NOON)
    with pytest.raises(OwnershipError, match="full"):
        append(tmp_path / "log", bytes([1]) * 32, NOON)


def test_ten_thousand_entries_are_the_most():
    with pytest.raises(OwnershipError, match="more than 10000 entries"):
        check_log(chain(ROWS[:1]) * 10_001)
    with pytest.raises(OwnershipError, match="more than 10000 entries"):
        parse_log(b"\n" * 10_001)


def test_an_empty_chain_and_a_sound_one_are_valid():
    check_log(())
    check_log(chain(ROWS))
    assert parse_log(log_bytes(chain(ROWS))) == chain(ROWS)


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize(
    "change",
    [
        {"index": 5},
        {"time": "2026-05-01T12:00:02Z"},
        {"digest": sha("forged")},
        {"previous": sha("forged")},
        {"entry": sha("forged")},
    ],
)
def test_any_changed_field_breaks_the_chain(place, change):
    entries = list(chain(ROWS))
    entries[place] = entries[place].model_copy(update=change)
    with pytest.raises(OwnershipError, match=f"entry {place} of the log does not continue"):
        check_log(entries)


def test_entries_cannot_be_left_out_moved_or_rehashed_alone():
    first, second, third = chain(ROWS)
    forged = chain([ROWS[0], (TIMES[1], sha("forged")), ROWS[2]])
    for entries in ([second, third], [first, third], [second, first, third], [first, forged[1], third]):
        with pytest.raises(OwnershipError, match="does not continue"):
            check_log(entries)


def test_a_whole_chain_with_a_time_that_goes_back_or_a_digest_twice_is_refused():
    with pytest.raises(OwnershipError, match="entry 1 of the log is earlier"):
        check_log(chain([ROWS[2], ROWS[0]]))
    with pytest.raises(OwnershipError, match="twice"):
        check_log(chain([ROWS[0], (TIMES[2], DIGESTS[0])]))


@pytest.mark.parametrize(
    "time",
    [
        "2026-02-30T12:00:00Z",
        "2026-05-01T12:00:60Z",
        "2026-05-01T24:01:00Z",
        "2026-05-01T12:00:00+00:00",
        "2026-05-01T12:00:00.5Z",
        "2026-05-01 12:00:00Z",
        "2026-05-01T12:00:00z",
        "٢٠٢٦-05-01T12:00:00Z",
        "2026-05-01",
        "",
    ],
)
def test_a_time_in_another_form_is_refused(time):
    content = log_bytes(chain(ROWS[:1])).replace(TIMES[0].encode(), time.encode())
    with pytest.raises(OwnershipError, match="log entry is wrong: time"):
        parse_log(content)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda content: content[:-1], "not complete"),
        (lambda content: content + b"\n", "not valid JSON"),
        (lambda content: content.replace(b":", b": ", 1), "not canonical"),
        (lambda content: content.replace(b'{"', b'{"a":1,"', 1), "wrong: a"),
        (lambda content: b"[]\n", "log entry is wrong"),
        (lambda content: b'{"a":"' + b"x" * 600 + b'"}\n', "more than 512 bytes"),
    ],
)
def test_a_file_that_is_not_a_log_is_refused_by_name(tmp_path, damage, reason):
    (tmp_path / "log").write_bytes(damage(log_bytes(chain(ROWS))))
    with pytest.raises(OwnershipError, match=rf"log: .*{reason}"):
        read_log(tmp_path / "log")


@pytest.mark.timeout(5)
def test_a_pipe_and_a_folder_are_not_logs(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe"):
        with pytest.raises(OwnershipError, match="regular"):
            append(path, bytes(32), NOON)
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OwnershipError, match="cannot be written"):
        append(tmp_path / "file" / "log", bytes(32), NOON)


def test_an_entry_is_found_by_its_digest():
    entries = chain(ROWS)
    assert find_entry(entries, bytes.fromhex(DIGESTS[1])) == entries[1]
    assert find_entry(entries, bytes(32)) is None
