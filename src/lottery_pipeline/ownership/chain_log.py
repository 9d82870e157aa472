"""A log that only grows: the time stamp for those who are offline.

Each entry holds the hash of the one before it, so an entry cannot be changed, moved or removed without
changing the hash of the last. That hash dates everything above it once it is known elsewhere: in print, in a
mail, in a public repository. A log whose last hash nobody else knows proves nothing, since it can be
written anew with other times.
"""

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints

from lottery_pipeline.ownership.canonical_json import decode_canonical, encode
from lottery_pipeline.ownership.errors import OwnershipError
from lottery_pipeline.ownership.foreign_files import read_file
from lottery_pipeline.ownership.records import Record, Sha256, parse_record
from lottery_pipeline.reproducibility.files import write_atomically
from lottery_pipeline.reproducibility.lock_files import NoLocksError, opened, try_lock
from lottery_pipeline.reproducibility.storage import StorageError

MAX_ENTRIES = 10_000
MAX_LINE = 512  # bytes; an entry has some 310
GENESIS = "0" * 64


def _check_time(text: str) -> str:
    datetime.fromisoformat(text)  # the pattern allows a 31st of February
    return text


Time = Annotated[
    str,
    StringConstraints(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$"),
    AfterValidator(_check_time),
]


class LogEntry(Record):
    """A line of the log.

    Attributes:
        index: position, from 0.
        time: RFC 3339, UTC, whole seconds.
        digest: SHA-256 of what was logged.
        previous: ``entry`` of the line before; 64 zeros in the first.
        entry: SHA-256 of the canonical JSON of the other fields.
    """

    index: Annotated[int, Field(ge=0, lt=MAX_ENTRIES)]
    time: Time
    digest: Sha256
    previous: Sha256
    entry: Sha256

    @property
    def moment(self) -> datetime:
        """The time as a date with time zone."""
        return datetime.fromisoformat(self.time)


def append(path: str | Path, digest: bytes, now: datetime) -> LogEntry:
    """Log a digest; one that is there already is not logged again.

    Args:
        path: of the log, made if there is none.
        digest: SHA-256, 32 bytes.
        now: with a time zone.

    Returns:
        The entry of the digest, new or old.

    Raises:
        OwnershipError: the log is not valid or full, its last entry is later than ``now``, ``now`` has no
            time zone, or the file cannot be written.
    """
    path = Path(path)
    if now.tzinfo is None or len(digest) != 32:
        raise OwnershipError("the log takes digests of 32 bytes and times with a time zone")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with opened(path.with_name(f".{path.name}.lock")) as lock:
            # Where files cannot be locked, it is up to the user to have one writer at a time.
            with suppress(NoLocksError):
                try_lock(lock, shared=False, wait=True)
            entries = read_log(path) if path.exists() else ()
            known = find_entry(entries, digest)
            if known is not None:
                return known
            entry = _make_entry(entries, digest.hex(), now)
            write_atomically(path, log_bytes([*entries, entry]))
    except StorageError as error:
        raise OwnershipError(str(error)) from error
    except OSError as error:
        raise OwnershipError(f"{path} cannot be written: {error.strerror or error}") from error
    return entry


def read_log(path: str | Path) -> tuple[LogEntry, ...]:
    """Read and check a log.

    Raises:
        OwnershipError: the file cannot be read, is too large, or is not a valid log; the sentence names it.
    """
    content = read_file(path, most=MAX_ENTRIES * MAX_LINE)
    try:
        return parse_log(content)
    except OwnershipError as error:
        raise OwnershipError(f"cannot use {path}: {error}") from error


def parse_log(content: bytes) -> tuple[LogEntry, ...]:
    """Read and check the content of a log file: an entry in canonical JSON per line.

    Raises:
        OwnershipError: a line is not an entry, or the entries are not a chain.
    """
    lines = content.split(b"\n")
    if lines.pop() != b"":
        raise OwnershipError("the last line of the log is not complete")
    if len(lines) > MAX_ENTRIES:
        raise OwnershipError(f"the log has more than {MAX_ENTRIES} entries")
    entries = tuple(
        parse_record(LogEntry, decode_canonical(line, most=MAX_LINE), what="log entry") for line in lines
    )
    check_log(entries)
    return entries


def log_bytes(entries: Sequence[LogEntry]) -> bytes:
    """Write entries as the content of a log file."""
    return b"".join(encode(entry.model_dump()) + b"\n" for entry in entries)


def check_log(entries: Sequence[LogEntry]) -> None:
    """Check that entries are a whole chain from its beginning.

    Raises:
        OwnershipError: an entry is out of place, its hash or the one before is wrong, a time goes back, or a
            digest is there twice.
    """
    if len(entries) > MAX_ENTRIES:
        raise OwnershipError(f"the log has more than {MAX_ENTRIES} entries")
    previous, time = GENESIS, ""
    for index, entry in enumerate(entries):
        if entry.index != index or entry.previous != previous or entry.entry != _hash(entry):
            raise OwnershipError(f"entry {index} of the log does not continue the chain of hashes")
        if entry.time < time:  # equal widths, all UTC: the order of texts is that of times
            raise OwnershipError(f"entry {index} of the log is earlier than the one before it")
        previous, time = entry.entry, entry.time
    if len({entry.digest for entry in entries}) != len(entries):
        raise OwnershipError("the log holds a digest twice")


def find_entry(entries: Sequence[LogEntry], digest: bytes) -> LogEntry | None:
    """Return the entry of a digest, or None."""
    return next((entry for entry in entries if entry.digest == digest.hex()), None)


def _make_entry(entries: Sequence[LogEntry], digest: str, now: datetime) -> LogEntry:
    if len(entries) == MAX_ENTRIES:
        raise OwnershipError(f"the log is full: it has {MAX_ENTRIES} entries")
    time = f"{now.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='seconds')}Z"
    previous = entries[-1].entry if entries else GENESIS
    if entries and time < entries[-1].time:
        raise OwnershipError(f"the last entry of the log is of {entries[-1].time}, later than now ({time})")
    draft = LogEntry(index=len(entries), time=time, digest=digest, previous=previous, entry=GENESIS)
    return draft.model_copy(update={"entry": _hash(draft)})


def _hash(entry: LogEntry) -> str:
    return hashlib.sha256(encode(entry.model_dump(exclude={"entry"}))).hexdigest()
