import math

import pytest
import torch

from lottery_pipeline.models.registry import build_model
from lottery_pipeline.sparsity.masks import are_nested
from lottery_pipeline.tickets.errors import TicketError
from lottery_pipeline.tickets.header import LadderRow
from lottery_pipeline.tickets.ladder import (
    LADDER_KEY,
    Ladder,
    complete_rows,
    make_ladder,
    read_ladder_header,
)
from lottery_pipeline.tickets.ticket import Ticket
from tests.tickets.hostile import Parts, put_together, take_apart
from tests.tickets.lies import LAYOUT_LIES
from tests.tiny import same_bits, tiny_spec

ROUNDS = 4


def draw_row(rung: int, kept: int, prunable: int) -> dict:
    return {
        "rung": rung,
        "density": kept / prunable,
        "kept": kept,
        "prunable": prunable,
        "test_accuracy": 0.5,
        "validation_accuracy": None,
        "early_stop_step": 3,
        "early_stop_validation_loss": None,
        "epochs": 2.0,
        "seconds": 0.1,
    }


def draw_ladder(**changes) -> Ladder:
    spec = tiny_spec(width=2)
    state = build_model(spec, seed=0).state_dict()
    generator = torch.Generator().manual_seed(0)
    survived = {
        name: torch.randint(0, ROUNDS + 1, tensor.shape, generator=generator, dtype=torch.uint8)
        for name, tensor in state.items()
        if tensor.dim() > 1
    }
    counts = [sum(int((t >= rung).sum()) for t in survived.values()) for rung in range(ROUNDS + 1)]
    values = {
        "method": "ltr",
        "spec": spec,
        "survived": survived,
        "state": state,
        "counts": counts,
        "rows": [draw_row(rung, counts[rung], counts[0]) for rung in range(ROUNDS)],
        "seed": 0,
        "rewind_step": 7,
        "parents": {"dense": "a" * 64},
        **changes,
    }
    return make_ladder(**values)


def test_a_ladder_comes_back_from_its_file_bit_for_bit(tmp_path):
    ladder = draw_ladder()
    ladder.save(tmp_path / "ladder")
    again = Ladder.load(tmp_path / "ladder")
    assert again.header == ladder.header == read_ladder_header(tmp_path / "ladder")
    assert same_bits(again.survived, ladder.survived)
    assert same_bits(again.state, ladder.state)
    assert again.to_bytes() == ladder.to_bytes()
    assert again.rows == ladder.rows


def test_every_rung_is_a_ticket_nested_in_the_one_above(tmp_path):
    ladder = draw_ladder()
    for rung in range(ROUNDS + 1):
        ticket = ladder.ticket(rung)
        assert ticket.kept == ladder.header.counts[rung]
        assert rung == 0 or are_nested(ticket.masks, ladder.masks(rung - 1))
        for name, mask in ticket.masks.items():
            assert torch.equal(mask, ladder.survived[name] >= rung)
            assert torch.equal(ticket.state[name][mask], ladder.state[name][mask])
        assert ticket.header.rewind_step == 7
        ticket.save(tmp_path / "ticket")
        assert same_bits(Ticket.load(tmp_path / "ticket").state, ticket.state)
    assert ladder.ticket(0).density == 1.0
    assert ladder.ticket(-1).to_bytes() == ladder.ticket(ROUNDS).to_bytes()


@pytest.mark.parametrize("rung", [-2, ROUNDS + 1, 99])
def test_a_rung_that_is_not_there_is_refused(rung):
    with pytest.raises(TicketError, match=f"rung {rung} is not on this ladder: rungs are 0 to 4"):
        draw_ladder().ticket(rung)


def test_the_clock_does_not_change_the_fingerprint_but_accuracies_do():
    ladder = draw_ladder()
    slower = [{**row, "seconds": 9.0} for row in ladder.rows]
    better = [{**row, "test_accuracy": 0.6} for row in ladder.rows]
    assert draw_ladder(rows=slower).fingerprint == ladder.fingerprint
    assert draw_ladder(rows=better).fingerprint != ladder.fingerprint


def test_the_ladder_shares_no_memory_with_what_it_was_made_from():
    ladder = draw_ladder()
    values = {name: tensor.clone() for name, tensor in ladder.state.items()}
    counts = {name: tensor.clone() for name, tensor in ladder.survived.items()}
    copied = draw_ladder(state=values, survived=counts)
    for tensor in [*values.values(), *counts.values()]:
        tensor.zero_()
    assert copied.to_bytes() == ladder.to_bytes()


def test_complete_rows_ends_with_the_retrained_ticket():
    ladder = draw_ladder()
    metrics = {
        "density": ladder.ticket(-1).density,
        "kept": ladder.header.counts[-1],
        "prunable": ladder.header.counts[0],
        "test_accuracy": 0.9,
        "validation_accuracy": 0.8,
        "early_stop_step": 5,
        "early_stop_validation_loss": 0.3,
        "train_epochs": 2.5,
        "train_seconds": 1.5,
        "method": "ltr",
    }
    rows = complete_rows(ladder, metrics)
    assert rows[:-1] == ladder.rows
    assert (
        rows[-1]
        == LadderRow(
            rung=ROUNDS,
            density=metrics["density"],
            kept=metrics["kept"],
            prunable=metrics["prunable"],
            test_accuracy=0.9,
            validation_accuracy=0.8,
            early_stop_step=5,
            early_stop_validation_loss=0.3,
            epochs=2.5,
            seconds=1.5,
        ).model_dump()
    )
    with pytest.raises(TicketError, match="the last rung keeps"):
        complete_rows(ladder, {**metrics, "kept": 3})


def lie(change) -> bytes:
    parts = take_apart_ladder()
    change(parts)
    return put_together(parts, key=LADDER_KEY)


def take_apart_ladder() -> Parts:
    return take_apart(draw_ladder().to_bytes(), key=LADDER_KEY)


def set_header(field, value):
    return lambda parts: parts.header.update({field: value})


def set_row(field, value):
    return lambda parts: parts.header["rows"][1].update({field: value})


def set_bytes(prefix, content):
    def change(parts):
        name = parts.rows(prefix)[0]
        parts.content[name] = content + parts.content[name][len(content) :]

    return change


def retype(parts):
    name = parts.rows("survived/")[0]
    parts.table[name]["dtype"] = "I8"


def drop(parts):
    name = parts.rows("survived/")[0]
    del parts.table[name], parts.content[name]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (set_header("format_version", 2), "format version is 2"),
        (set_header("counts", [31_000, 20_000, 10_000]), "counts are not the numbers"),
        (set_header("counts", []), "counts"),
        (set_header("counts", [1] * 300), "counts"),
        (set_header("rows", [draw_row(3, 1, 2)]), "row 0 does not agree"),
        (set_row("density", 0.123), "density of rung 1"),
        (set_row("test_accuracy", 1.5), "test_accuracy"),
        (set_row("epochs", -1.0), "epochs"),
        (set_row("extra", 1), "extra"),
        (set_bytes("survived/", b"\xff"), "counts are not the numbers"),
        (set_bytes("state/", b"\x00\x00\xc0\x7f"), "not finite"),
        (retype, "is not uint8"),
        (drop, "missing"),
    ],
)
def test_a_lying_ladder_is_refused_by_name(tmp_path, change, message):
    path = tmp_path / "ladder"
    path.write_bytes(lie(change))
    with pytest.raises(TicketError, match=f"cannot use {path}: .*{message}"):
        Ladder.load(path)


@pytest.mark.parametrize("name", LAYOUT_LIES)
def test_a_ladder_that_lies_about_its_layout_is_refused(tmp_path, name):
    parts = take_apart_ladder()
    LAYOUT_LIES[name](parts)
    path = tmp_path / "ladder"
    path.write_bytes(put_together(parts, lay_out=False, key=LADDER_KEY))
    with pytest.raises(TicketError, match="cannot use"):
        Ladder.load(path)


def test_a_ladder_broken_anywhere_is_refused(tmp_path):
    sound = draw_ladder().to_bytes()
    path = tmp_path / "ladder"
    for place in range(0, len(sound), math.ceil(len(sound) / 60)):
        broken = bytearray(sound)
        broken[place] ^= 1 << (place % 8)
        for content in (bytes(broken), sound[:place]):
            path.write_bytes(content)
            with pytest.raises(TicketError, match="cannot use"):
                Ladder.load(path)


def test_a_ladder_without_a_last_weight_is_not_made():
    survived = {name: torch.zeros_like(tensor) for name, tensor in draw_ladder().survived.items()}
    prunable = sum(tensor.numel() for tensor in survived.values())
    with pytest.raises(TicketError, match="keeps no weight"):
        draw_ladder(survived=survived, counts=[prunable, 0], rows=[])
