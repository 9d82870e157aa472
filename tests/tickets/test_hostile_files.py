"""Judge item: hostile ticket files end in TicketError, quickly and without eating memory."""

import functools
import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from lottery_pipeline.models.registry import build_model
from lottery_pipeline.models.spec import ModelSpec
from lottery_pipeline.tickets import ticket as ticket_module
from lottery_pipeline.tickets.blueprint import draw_blueprint
from lottery_pipeline.tickets.errors import TicketError
from lottery_pipeline.tickets.ladder import Ladder, read_ladder_header
from lottery_pipeline.tickets.ticket import Ticket, read_header
from tests.tickets.hostile import Parts, put_together, take_apart
from tests.tickets.lies import forge_files
from tests.tiny import OWN_MODEL, draw_masks, draw_ticket, tiny_spec

# Loads every file named on standard input and writes what happened: processor seconds, MiB of the highest
# peak so far above what was in use before, message.
READER = r"""
import json, pathlib, re, resource, sys, time
from lottery_pipeline.tickets.ticket import Ticket
from lottery_pipeline.tickets.errors import TicketError
def measure(field):  # in MiB; ru_maxrss begins at the peak of the process that started this one
    status = pathlib.Path("/proc/self/status")
    if status.exists():
        return int(re.search(field + r":\s*(\d+) kB", status.read_text())[1]) / 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
paths = json.load(sys.stdin)
Ticket.load(paths[0]).build()
rows = []
for path in paths[1:]:
    before, start = measure("VmRSS"), time.process_time()
    try:
        Ticket.load(path)
        outcome = "loaded"
    except TicketError as error:
        outcome = str(error)
    except BaseException as error:
        outcome = f"!{type(error).__name__}: {error}"
    rows.append([path, time.process_time() - start, measure("VmHWM") - before, outcome])
json.dump(rows, sys.stdout)
"""


def draw_mixed() -> Ticket:
    """A mask of each kind: gaps, bits (with spare ones, the last in the file), all kept."""
    state = build_model(tiny_spec(width=3), seed=0).state_dict()
    sparse, half = draw_masks(state), draw_masks(state, density=0.5)
    masks = {name: half[name] if name == "network.fc1.weight" else sparse[name] for name in sparse}
    masks["network.fc2.weight"] |= True
    return draw_ticket(masks=masks)


SOUND = {
    "version 1": lambda: draw_ticket().with_version(1),
    "gaps": draw_ticket,
    "gaps and bits": draw_mixed,
}


@pytest.fixture(scope="module", params=SOUND.values(), ids=SOUND)
def sound(request) -> bytes:
    return request.param().to_bytes()


def load_elsewhere(*paths: Path) -> list[list[Any]]:
    """Load files in another process, the first one to warm up: path, seconds, MiB, what it said."""
    reply = subprocess.run(
        [sys.executable, "-c", READER],
        input=json.dumps([str(path) for path in paths]),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert reply.returncode == 0, reply.stderr
    return list(json.loads(reply.stdout))


def test_hundreds_of_hostile_files_end_in_one_sentence_within_a_second_and_200_mb(tmp_path):
    (tmp_path / "sound").write_bytes(draw_ticket().to_bytes())
    names = {}

    def write(name: str, content: bytes) -> Path:
        path = tmp_path / f"{len(names)}.safetensors"
        path.write_bytes(content)
        names[str(path)] = name
        return path

    for kind, draw in SOUND.items():
        for name, content in forge_files(draw().to_bytes()):
            write(f"{kind}: {name}", content)
    for name, content in (
        ("4 GiB of zeros", b""),
        ("a sound file with 4 GiB appended", draw_ticket().to_bytes()),
        ("a table of 3 GiB that is there", (3 * 2**30).to_bytes(8, "little")),
    ):
        os.truncate(write(name, content), 2**32)  # sparse: takes no disk
    names[str(tmp_path)] = "a folder"
    names[str(tmp_path / "nothing")] = "no file"
    os.mkfifo(tmp_path / "pipe")
    names[str(tmp_path / "pipe")] = "a pipe"
    rows = load_elsewhere(tmp_path / "sound", *map(Path, names))
    assert len(rows) == len(names) >= 400
    for path, seconds, mebibytes, outcome in rows:
        said = f"{names[path]}: {outcome}"
        assert outcome.startswith(f"cannot use {path}: "), said
        assert "\n" not in outcome, said
        assert len(outcome) < 600, said
        assert seconds < 1, said
        assert mebibytes < 200, said


def draw_small(version: int) -> bytes:
    """A file of 1.1 or 1.7 kB."""
    spec = tiny_spec(OWN_MODEL)
    state = build_model(spec, seed=0, allow_factory=OWN_MODEL).state_dict()
    masks = draw_masks(state, density=0.1)
    ticket = draw_ticket(spec=spec, state=state, masks=masks, allow_factory=OWN_MODEL, parents={})
    return ticket.with_version(version).to_bytes()


@pytest.mark.parametrize("version", [1, 2])
def test_a_flip_at_any_byte_is_found(tmp_path, monkeypatch, version):
    monkeypatch.setattr(ticket_module, "draw_blueprint", functools.cache(draw_blueprint))  # the slowest part
    content = draw_small(version)
    path = tmp_path / "ticket"
    for place in range(len(content)):
        broken = bytearray(content)
        broken[place] ^= 1 << (place % 8)
        path.write_bytes(broken)
        with pytest.raises(TicketError, match=r"^cannot use .*ticket: "):
            Ticket.load(path, allow_factory=OWN_MODEL)


def test_a_flip_in_the_masks_with_all_sums_right_is_found_or_gives_the_only_file_of_another_ticket(tmp_path):
    """Whoever writes sums anew can write another ticket, but not the same one in another way."""
    sound = draw_small(2)
    own = take_apart(sound).content["masks"]
    path, loaded = tmp_path / "ticket", 0
    for bit in range(8 * len(own)):
        parts = take_apart(sound)
        parts.content["masks"] = (int.from_bytes(own) ^ (1 << bit)).to_bytes(len(own))
        path.write_bytes(put_together(parts))
        try:
            ticket = Ticket.load(path, allow_factory=OWN_MODEL)
        except TicketError:
            continue
        loaded += 1
        again = take_apart(ticket.to_bytes())
        assert again.content == parts.content
        assert again.header["fingerprint"] != parts.header["fingerprint"]
    assert 0 < loaded < 8 * len(own)


@pytest.mark.parametrize("version", [0, 3, "1", None])
def test_a_version_of_the_future_is_named(sound, tmp_path, version):
    parts = take_apart(sound)
    parts.header["format_version"] = version
    parts.header["field_of_the_future"] = 1
    (tmp_path / "ticket").write_bytes(put_together(parts))
    with pytest.raises(TicketError, match=r"format version .* reads version 1 or 2"):
        read_header(tmp_path / "ticket")


def test_the_sound_file_survives_being_taken_apart_and_put_together(sound, tmp_path):
    (tmp_path / "ticket").write_bytes(put_together(take_apart(sound)))
    assert Ticket.load(tmp_path / "ticket").to_bytes() == sound


def test_a_ticket_is_no_ladder_and_a_ladder_no_ticket(sound, tmp_path):
    (tmp_path / "ticket").write_bytes(sound)
    for read in (Ladder.load, read_ladder_header):
        with pytest.raises(TicketError, match=r"is not a lottery_pipeline\.ladder file"):
            read(Path(tmp_path / "ticket"))


def test_a_negative_variance_is_found(tmp_path):
    parts = take_apart(draw_ticket("resnet20", width=4).with_version(1).to_bytes())
    name = next(name for name in parts.table if name.endswith("running_var"))
    parts.content[name] = parts.content[name][:-4] + b"\x00\x00\x80\xbf"  # -1.0
    (tmp_path / "ticket").write_bytes(put_together(parts))
    with pytest.raises(TicketError, match="negative variance"):
        Ticket.load(tmp_path / "ticket")


def test_a_negative_variance_among_joined_tensors_is_found_and_named(tmp_path):
    parts = take_apart(draw_ticket("resnet20", width=4).to_bytes())
    sound = parts.content["state/float32"]  # its last 64 numbers are a weight, the 64 before them a variance
    parts.content["state/float32"] = sound[:-4] + b"\x00\x00\x80\xbf"  # -1.0
    (tmp_path / "ticket").write_bytes(put_together(parts))
    assert Ticket.load(tmp_path / "ticket").state["network.layer3.2.bn2.weight"][-1] == -1
    parts.content["state/float32"] = sound[:-260] + b"\x00\x00\x80\xbf" + sound[-256:]
    (tmp_path / "ticket").write_bytes(put_together(parts))
    with pytest.raises(TicketError, match=r"network\.layer3\.2\.bn2\.running_var holds a negative variance"):
        Ticket.load(tmp_path / "ticket")


def forge_not_finite_weights() -> bytes:
    """A version-1 file of 78 million weights whose sums and sizes are all right; only one weight lies."""
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
    header = draw_ticket().with_version(1).header.model_dump(mode="json") | claim(spec)
    assert header["prunable"] > 7 * 10**7
    return put_together(Parts(table, header, content))


def forge_thousand_million() -> bytes:
    """A version-2 file of 2.8 kB for a model of nearly 2**30 weights."""
    spec = tiny_spec(width=1890)
    # The first of 300 weights, of 1.07 thousand million and of 30,000.
    codes = b"\0\x80" + bytes(4) + b"\x80" + b"\0\0\x80"
    content = {"kept/float32": bytes(12), "state/float32": bytes(4 * 403), "masks": codes}
    table = {name: {"dtype": "F32", "shape": [len(content[name]) // 4]} for name in list(content)[:2]}
    table["masks"] = {"dtype": "U8", "shape": [len(codes)]}
    header = draw_ticket().header.model_dump(mode="json") | claim(spec)
    assert 0.99 * 2**30 < header["prunable"] < 2**30
    return put_together(Parts(table, header, content))


def claim(spec: ModelSpec) -> dict[str, Any]:
    """Header of a ticket that keeps one weight of every layer."""
    weights = dict(build_model(spec, seed=0, device="meta").named_parameters())
    shapes = {name: list(weight.shape) for name, weight in weights.items() if weight.dim() > 1}
    prunable = sum(math.prod(shape) for shape in shapes.values())
    return {
        "spec": spec.model_dump(mode="json"),
        "layers": [{"name": name, "shape": shape, "kept": 1} for name, shape in shapes.items()],
        "kept": len(shapes),
        "prunable": prunable,
        "density": len(shapes) / prunable,
    }


def draw_largest() -> bytes:
    """A sound version-2 file of 2.8 kB for 16.7 million weights, a little fewer than any file may have."""
    spec = tiny_spec(width=236)
    shapes = {n: t.shape for n, t in build_model(spec, seed=0, device="meta").state_dict().items()}
    masks = {name: torch.zeros(shape, dtype=torch.bool) for name, shape in shapes.items() if len(shape) > 1}
    masks["network.fc1.weight"][299, -1] = True
    state = {name: torch.zeros(shape) for name, shape in shapes.items()}
    return draw_ticket(spec=spec, state=state, masks=masks).to_bytes()


@pytest.fixture(scope="module")
def large_claims(tmp_path_factory) -> dict[str, tuple[float, float, str]]:
    folder = tmp_path_factory.mktemp("large")
    draw_ticket().save(folder / "sound")
    for forge in (forge_thousand_million, forge_not_finite_weights, draw_largest):
        (folder / forge.__name__).write_bytes(forge())
    assert (folder / "forge_thousand_million").stat().st_size < 3000
    assert (folder / "draw_largest").stat().st_size < 3000
    paths = ["forge_thousand_million", "forge_not_finite_weights", "draw_largest"]
    rows = load_elsewhere(folder / "sound", *(folder / path for path in paths))
    return {
        path: (seconds, mebibytes, said)
        for path, (_, seconds, mebibytes, said) in zip(paths, rows, strict=True)
    }


def test_a_thousand_million_weights_in_a_small_file_are_refused_before_a_mask_is_decoded(large_claims):
    seconds, mebibytes, outcome = large_claims["forge_thousand_million"]
    assert outcome.endswith("needs at least 1030160 numbers for 1071660300 weights, but has 406")
    assert seconds < 1
    assert mebibytes < 50


def test_a_large_forged_file_is_refused_before_it_is_allocated(large_claims):
    seconds, mebibytes, outcome = large_claims["forge_not_finite_weights"]
    assert outcome.endswith("network.fc.weight holds a value that is not finite")
    assert seconds < 1
    assert mebibytes < 200


def test_the_largest_ticket_of_a_few_kilobytes_takes_less_than_200_mb(large_claims):
    seconds, mebibytes, outcome = large_claims["draw_largest"]
    assert outcome == "loaded"
    assert seconds < 1
    assert 60 < mebibytes < 200  # it is really measured: 64 MiB of weights alone
