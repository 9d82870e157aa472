"""Files that ``torch.save`` has written, from strangers: read without running their code, in bounded memory.

``torch.load(weights_only=True)`` runs no code from the file. But what it does call may take any amount of
memory, and so may a packed archive. So the pickle in the file is listed first, in bounded time: it may use
only what a state dict needs, and nothing in the archive may be packed. That is worth nothing if torch then
reads another pickle of the archive: it looks for its directory and for names in its own way.
"""

import io
import re
import struct
import warnings
from pathlib import Path
from pickletools import genops
from zipfile import ZIP_STORED, ZipFile

import torch

from lottery_pipeline.models.weights.choice import WeightsError

ZIP_MARK = b"PK\x03\x04"
LEGACY_MARK = b"\x80\x02\x8a\x0al\xfc\x9cF"  # of torch before 1.6, in which torchvision still keeps weights
_LEGACY_PICKLES = 5
_MOST_BYTES = 4 * 2**20  # of the pickle, and of the archive's directory; ResNet-152 needs 0.2 MiB
_MOST_STEPS = 2**19  # of the pickle; a tensor takes about 25
_ALLOWED = re.compile(
    r"collections OrderedDict|torch\._utils _rebuild_(tensor(_v[23])?|parameter)|"
    r"torch(\.storage)? (\w+Storage|Size|device|b?float\d+|u?int\d+|bool)",
    re.ASCII,
)
_LONGEST_SHOWN = 80
# The end of an archive. A large one has two more records before the last, and torch always writes these.
_END = struct.Struct("<4s8x2IH")  # mark, length and place of the directory, length of a comment
_LOCATOR = struct.Struct("<4s4xQ4x")  # mark, place of the next
_LARGE_END = struct.Struct("<4s36x2Q")  # mark, length and place of the directory
_FOREIGN = "it is an archive that torch.save did not write"


def read_torch_file(path: Path) -> object:
    """Load what ``torch.save`` has written, a state dict perhaps; the tensors are read when they are used.

    Args:
        path: a regular file that begins with ``ZIP_MARK`` or ``LEGACY_MARK``.

    Raises:
        WeightsError: the file holds more than tensors, or is damaged; one sentence without its path.
    """
    try:
        with _Bounded(io.FileIO(path)) as stream:
            archived = stream.peek(4)[:4] == ZIP_MARK
            content = _read_pickle(stream) if archived else stream.read(_MOST_BYTES)
        _check_pickles(content, 1 if archived else _LEGACY_PICKLES)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True, mmap=archived)
    except WeightsError:
        raise
    except Exception as error:  # whatever the file makes zipfile, pickle and torch raise
        raise WeightsError("it is cut off or damaged, or torch.save did not write it") from error


class _Bounded(io.BufferedReader):
    """A file of which no more is read at once than a state dict can need, whatever the file says."""

    def read(self, size: int | None = -1, /) -> bytes:
        wanted = _MOST_BYTES + 1 if size is None or size < 0 else min(size, _MOST_BYTES + 1)
        content = super().read(wanted)
        if len(content) > _MOST_BYTES:
            raise WeightsError(f"it has a directory of more than {_MOST_BYTES} bytes")
        return content


def _read_pickle(stream: _Bounded) -> bytes:
    with ZipFile(stream) as archive:
        _check_end(stream)
        entries = archive.infolist()
        if any(entry.compress_type != ZIP_STORED for entry in entries):
            raise WeightsError("it is a packed archive, which torch.save does not write")
        # To torch, DATA.PKL is the same name.
        found = [entry for entry in entries if entry.filename.partition("/")[2].lower() == "data.pkl"]
        if len(found) != 1:
            raise WeightsError(_FOREIGN)
        if found[0].file_size > _MOST_BYTES:
            raise WeightsError(f"its list of tensors has more than {_MOST_BYTES} bytes")
        return archive.read(found[0])


def _check_end(stream: _Bounded) -> None:
    """Refuse an archive whose directory does not end where its last records begin.

    ``zipfile`` goes back from there, torch goes to the place that the records name: it must be the same.
    """
    size = stream.seek(0, io.SEEK_END)
    stream.seek(-(_LARGE_END.size + _LOCATOR.size + _END.size), io.SEEK_END)
    large, locator, last = (stream.read(part.size) for part in (_LARGE_END, _LOCATOR, _END))
    end = size - len(last)
    mark, length, place, comment = _END.unpack(last)
    is_end = mark == b"PK\5\6" and not comment
    mark, place_of_large = _LOCATOR.unpack(locator)
    if mark == b"PK\6\7":
        end -= len(large) + len(locator)
        mark, length, place = _LARGE_END.unpack(large)
        is_end = is_end and mark == b"PK\6\6" and place_of_large == end
    if not is_end or place + length != end:
        raise WeightsError(_FOREIGN)


def _check_pickles(content: bytes, count: int) -> None:
    """List what pickles that follow one another would call, and refuse what a state dict does not need."""
    stream, steps = io.BytesIO(content), 0
    for _ in range(count):
        for opcode, argument, _ in genops(stream):
            steps += 1
            if steps > _MOST_STEPS:
                raise WeightsError(f"its list of tensors takes more than {_MOST_STEPS} steps")
            if opcode.name == "GLOBAL" and not _ALLOWED.fullmatch(str(argument)):
                shown = ascii(str(argument).replace(" ", "."))[1:-1][:_LONGEST_SHOWN]
                raise WeightsError(
                    f"it holds more than tensors ({shown}), which is never loaded; save the state dict "
                    "alone, with torch.save(model.state_dict(), path)"
                )
