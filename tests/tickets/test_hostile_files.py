"""Judge item: hostile ticket files end in TicketError, quickly and without eating memory."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lottery_pipeline.models.registry import build_model
from lottery_pipeline.tickets.errors import TicketError
from lottery_pipeline.tickets.ladder import Ladder, read_ladder_header
from lottery_pipeline.tickets.ticket import Ticket, read_header
from tests.tickets.hostile import Parts, put_together, take_apart
from tests.tickets.lies import forge_files
from tests.tiny import draw_ticket, tiny_spec

# Loads every file named on standard input and writes what happened: seconds, peak memory, message.
READER = """
import json, resource, sys, time
from lottery_pipeline.tickets.ticket import Ticket
from lottery_pipeline.tickets.errors import TicketError
paths = json.load(sys.stdin)
Ticket.load(paths[0]).build()
rows = []
for path in paths[1:]:
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
    try:
        Ticket.load(path)
        outcome = "loaded"
    except TicketError as error:
        outcome = str(error)
    except BaseException as error:
        outcome = f"!{type(error).__name__}: {error}"
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    unit = 2**20 if sys.platform == "darwin" else 2**10
    rows.append([path, time.monotonic() - start, (peak - before) / unit, outcome])
json.dump(rows, sys.stdout)
"""


@pytest.fixture(scope="module")
def sound() -> bytes:
    return draw_ticket().to_bytes()


def test_a_hundred_hostile_files_end_in_one_sentence_within_a_second_and_200_mb(sound, tmp_path):
    (tmp_path / "sound").write_bytes(sound)
    names = {}
    for index, (name, content) in enumerate(forge_files(sound)):
        path = tmp_path / f"{index}.safetensors"
        path.write_bytes(content)
        names[str(path)] = name
    for name, content, size in (
        ("4 GiB of zeros", b"", 2**32),
        ("a sound file with 4 GiB appended", sound, 2**32),
        ("a table of 3 GiB that is there", (3 * 2**30).to_bytes(8, "little"), 2**32),
    ):
        path = tmp_path / f"{len(names)}.safetensors"
        path.write_bytes(content)
        os.truncate(path, size)  # sparse: takes no disk
        names[str(path)] = name
    names[str(tmp_path)] = "a folder"
    names[str(tmp_path / "nothing")] = "no file"
    os.mkfifo(tmp_path / "pipe")
    names[str(tmp_path / "pipe")] = "a pipe"
    reply = subprocess.run(
        [sys.executable, "-c", READER],
        input=json.dumps([str(tmp_path / "sound"), *names]),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert reply.returncode == 0, reply.stderr
    rows = json.loads(reply.stdout)
    assert len(rows) == len(names) >= 100
    for path, seconds, mebibytes, outcome in rows:
        said = f"{names[path]}: {outcome}"
        assert outcome.startswith(f"cannot use {path}: "), said
        assert "\n" not in outcome, said
        assert len(outcome) < 600, said
        assert seconds < 1, said
        assert mebibytes < 200, said


def test_a_flip_of_any_bit_of_the_header_is_found(tmp_path):
    content = draw_ticket(width=2).to_bytes()
    table = 8 + int.from_bytes(content[:8], "little")
    path = tmp_path / "ticket"
    for place in range(0, table, 3):
        broken = bytearray(content)
        broken[place] ^= 1 << (place % 8)
        path.write_bytes(broken)
        with pytest.raises(TicketError, match=r"^cannot use .*ticket: "):
            Ticket.load(path)


@pytest.mark.parametrize("version", [0, 2, "1", None])
def test_a_version_of_the_future_is_named(sound, tmp_path, version):
    parts = take_apart(sound)
    parts.header["format_version"] = version
    parts.header["field_of_the_future"] = 1
    (tmp_path / "ticket").write_bytes(put_together(parts))
    with pytest.raises(TicketError, match=r"format version .* reads version 1"):
        read_header(tmp_path / "ticket")


def test_the_sound_file_survives_being_taken_apart_and_put_together(sound, tmp_path):
    (tmp_path / "ticket").write_bytes(put_together(take_apart(sound)))
    assert Ticket.load(tmp_path / "ticket").fingerprint == draw_ticket().fingerprint


def test_a_ticket_is_no_ladder_and_a_ladder_no_ticket(sound, tmp_path):
    (tmp_path / "ticket").write_bytes(sound)
    for read in (Ladder.load, read_ladder_header):
        with pytest.raises(TicketError, match=r"is not a lottery_pipeline\.ladder file"):
            read(Path(tmp_path / "ticket"))


def test_a_negative_variance_is_found(tmp_path):
    parts = take_apart(draw_ticket("resnet20", width=4).to_bytes())
    name = next(name for name in parts.table if name.endswith("running_var"))
    parts.content[name] = parts.content[name][:-4] + b"\x00\x00\x80\xbf"  # -1.0
    (tmp_path / "ticket").write_bytes(put_together(parts))
    with pytest.raises(TicketError, match="negative variance"):
        Ticket.load(tmp_path / "ticket")


def test_a_large_forged_file_is_refused_before_it_is_allocated(tmp_path):
    """A model of 78 million weights whose sums and sizes are all right; only the masks lie."""
    spec = tiny_spec(width=512)
    model = build_model(spec, seed=0, device="meta")
    table, content, layers = {}, {}, []
    for name, tensor in model.state_dict().items():
        if tensor.dim() == 1:
            table[f"state/{name}"] = {"dtype": "F32", "shape": list(tensor.shape)}
            content[f"state/{name}"] = bytes(4 * tensor.numel())
            continue
        size = tensor.numel()
        layers.append({"name": name, "shape": list(tensor.shape), "kept": 1})
        table[f"mask/{name}"] = {"dtype": "U8", "shape": [-(-size // 8)]}
        content[f"mask/{name}"] = bytes(-(-size // 8) - 1) + b"\x80"
        table[f"kept/{name}"] = {"dtype": "F32", "shape": [1]}
        content[f"kept/{name}"] = b"\x00\x00\x80\x7f" if name.endswith("fc.weight") else bytes(4)
    prunable = sum(weight.numel() for weight in model.parameters() if weight.dim() > 1)
    assert prunable > 7 * 10**7
    header = draw_ticket().header.model_dump(mode="json")
    header |= {"spec": spec.model_dump(mode="json"), "layers": layers, "kept": 3, "prunable": prunable}
    header["density"] = 3 / prunable
    path = tmp_path / "large"
    path.write_bytes(put_together(Parts(table, header, content)))
    small = tmp_path / "sound"
    draw_ticket().save(small)
    reply = subprocess.run(
        [sys.executable, "-c", READER],
        input=json.dumps([str(small), str(path)]),
        capture_output=True,
        text=True,
        check=True,
    )
    [[_, seconds, mebibytes, outcome]] = json.loads(reply.stdout)
    assert outcome.endswith("network.fc.weight holds a value that is not finite")
    assert seconds < 1
    assert mebibytes < 200
