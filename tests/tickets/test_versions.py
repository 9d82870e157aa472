"""Version 1 stays readable; a ticket has the same fingerprint in both versions."""

from dataclasses import replace

import pytest
import torch

from lottery_pipeline.models.registry import build_model
from lottery_pipeline.tickets import joined_layout
from lottery_pipeline.tickets.errors import TicketError
from lottery_pipeline.tickets.joined_layout import is_too_sparse
from lottery_pipeline.tickets.ticket import Ticket, make_ticket, read_header
from tests.tickets.hostile import put_together, take_apart
from tests.tickets.version_1 import ONE, ONE_FINGERPRINT, OWN, OWN_FINGERPRINT
from tests.tiny import OWN_MODEL, draw_masks, draw_ticket, same_bits, tiny_spec


def load(path, content):
    path.write_bytes(content)
    return Ticket.load(path, allow_factory=OWN_MODEL)


@pytest.fixture(params=[(OWN, OWN_FINGERPRINT), (ONE, ONE_FINGERPRINT)], ids=["own", "one"])
def old(request, tmp_path):
    content, fingerprint = request.param
    ticket = load(tmp_path / "old", content)
    assert ticket.fingerprint == fingerprint
    assert read_header(tmp_path / "old") == ticket.header
    return ticket, content


def test_an_old_trained_ticket_loads_with_all_that_it_says(tmp_path):
    ticket = load(tmp_path / "old", OWN)
    header = ticket.header
    assert (header.format_version, header.kind, header.method, header.seed) == (1, "trained", "layer>cts", 7)
    assert header.parents == {"dense": "a" * 64, "images": "b" * 64}
    assert header.metrics == {"test_accuracy": 0.625, "test_loss": 1.5}
    assert (ticket.kept, ticket.prunable) == (38, 194)
    assert [layer.kept for layer in header.layers] == [23, 10, 5]
    last = ticket.masks["network.5.weight"]
    assert last.nonzero().tolist() == [[1, 0], [1, 1], [1, 3], [2, 0], [2, 1]]
    kept = [-0.23788853, 0.13951683, -0.00890684, -0.30860308, -0.28026745]
    torch.testing.assert_close(ticket.state["network.5.weight"][last], torch.tensor(kept))


def test_an_old_ticket_of_one_weight_loads(tmp_path):
    ticket = load(tmp_path / "old", ONE)
    assert (ticket.kept, ticket.prunable) == (1, 33_000)
    assert ticket.masks["network.fc2.weight"].nonzero().tolist() == [[17, 23]]
    assert ticket.state["network.fc2.weight"].dtype == torch.bfloat16
    assert ticket.state["network.fc2.weight"].count_nonzero() == 1


def test_an_old_ticket_is_written_again_byte_for_byte(old):
    ticket, content = old
    assert ticket.to_bytes() == content


def test_in_version_2_an_old_ticket_is_smaller_and_otherwise_the_same(old, tmp_path):
    ticket, content = old
    ticket.with_version(2).save(tmp_path / "new")
    again = Ticket.load(tmp_path / "new", allow_factory=OWN_MODEL)
    assert again.header.format_version == 2
    assert again.header == ticket.header.model_copy(update={"format_version": 2})
    assert again.fingerprint == ticket.fingerprint
    assert same_bits(again.masks, ticket.masks)
    assert same_bits(again.state, ticket.state)
    assert again.with_version(1).to_bytes() == content
    assert len(again.to_bytes()) < 0.75 * len(content)


def test_the_same_ticket_made_today_has_the_fingerprint_of_then(old):
    """So what names an old ticket as its parent still finds it."""
    ticket, _ = old
    header = ticket.header
    made = make_ticket(
        method=header.method,
        spec=header.spec,
        masks=ticket.masks,
        state=ticket.state,
        seed=header.seed,
        rewind_step=header.rewind_step,
        parents=header.parents,
        kind=header.kind,
        metrics=header.metrics,
        allow_factory=OWN_MODEL,
    )
    assert made.header.format_version == 2
    assert made.fingerprint == ticket.fingerprint


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize(
    "change", [{"seed": 8}, {"rewind_step": 1}, {"metrics": {"a": 1.0}}, {"fingerprint": "0" * 64}]
)
def test_a_fingerprint_that_is_not_the_contents_is_refused_in_both_versions(old, tmp_path, version, change):
    ticket, _ = old
    lie = replace(ticket, header=ticket.header.model_copy(update=change)).with_version(version)
    with pytest.raises(TicketError, match="fingerprint does not agree with its content"):
        load(tmp_path / "lie", lie.to_bytes())


@pytest.mark.parametrize("version", [1, 2])
def test_a_weight_or_a_bit_under_an_old_fingerprint_is_refused(tmp_path, version):
    ticket = draw_ticket("resnet20", width=3)
    name = "network.layer2.1.conv1.weight"
    state, masks = dict(ticket.state), dict(ticket.masks)
    state[name] = state[name] * 2
    masks[name] = masks[name].roll(1, 0)  # as many weights as before
    for other in (replace(ticket, state=state), replace(ticket, masks=masks)):
        with pytest.raises(TicketError, match="fingerprint does not agree with its content"):
            load(tmp_path / "lie", other.with_version(version).to_bytes())


MIXTURES = {
    "all": lambda name: torch.bfloat16,
    "weights only": lambda name: torch.float16 if name.endswith("conv1.weight") else torch.float32,
    "three types": lambda name: [torch.bfloat16, torch.float16, torch.float32][len(name) % 3],
}


@pytest.mark.parametrize("mixture", MIXTURES.values(), ids=MIXTURES)
def test_any_mixture_of_16_bit_floats_comes_back(tmp_path, mixture):
    full = build_model(tiny_spec("resnet20", width=3), seed=0).state_dict()
    state = {n: t.to(mixture(n)) if t.is_floating_point() else t for n, t in full.items()}
    ticket = draw_ticket("resnet20", masks=draw_masks(full), state=state)
    again = load(tmp_path / "t", ticket.to_bytes())
    assert same_bits(again.state, ticket.state)
    assert again.to_bytes() == ticket.to_bytes()
    letters = {torch.bfloat16: "b", torch.float16: "h", torch.float32: ".", torch.int64: "."}
    halves = take_apart(ticket.to_bytes()).header["halves"]
    assert halves == "".join(letters[state[name].dtype] for name in sorted(state))


def test_no_half_stands_in_for_a_whole_number(tmp_path):
    parts = take_apart(draw_ticket("resnet20", width=3).to_bytes())
    names = sorted(draw_ticket("resnet20", width=3).state)
    place = next(n for n, name in enumerate(names) if name.endswith("num_batches_tracked"))
    parts.header["halves"] = "".join("b" if n == place else "." for n in range(len(names)))
    parts.content["state/int64"] = parts.content["state/int64"][8:]
    parts.table["state/int64"]["shape"][0] -= 1
    parts.table["state/bfloat16"], parts.content["state/bfloat16"] = {"dtype": "BF16", "shape": [1]}, bytes(2)
    with pytest.raises(
        TicketError, match=r"num_batches_tracked is torch.bfloat16, but the model has torch.int64"
    ):
        load(tmp_path / "lie", put_together(parts))


def test_a_ticket_in_the_models_own_types_says_nothing_of_halves():
    assert "halves" not in take_apart(draw_ticket().to_bytes()).header


@pytest.mark.parametrize("density", [0.0, 0.4, 1.0])
def test_layers_without_a_code_come_back(tmp_path, density):
    """Layers that keep nothing, or everything, and no masks at all."""
    state = build_model(tiny_spec(width=3), seed=0).state_dict()
    masks = draw_masks(state, density=density)
    masks["network.fc.weight"] |= True
    ticket = draw_ticket(masks=masks)
    again = load(tmp_path / "t", ticket.to_bytes())
    assert same_bits(again.masks, ticket.masks)
    assert same_bits(again.state, ticket.state)
    assert ("masks" in take_apart(ticket.to_bytes()).table) == (density == 0.4)


def test_what_is_too_sparse_for_version_2_is_written_in_version_1(tmp_path, monkeypatch):
    state = build_model(tiny_spec(width=3), seed=0).state_dict()
    masks = {name: torch.zeros_like(mask) for name, mask in draw_masks(state).items()}
    masks["network.fc1.weight"][0, 0] = True
    assert draw_ticket(masks=masks).header.format_version == 2
    monkeypatch.setattr(joined_layout, "ALWAYS_ALLOWED", 1000)
    monkeypatch.setattr(joined_layout, "WEIGHTS_PER_NUMBER", 70)
    assert draw_ticket().header.format_version == 2
    ticket = draw_ticket(masks=masks)
    assert ticket.header.format_version == 1
    assert load(tmp_path / "t", ticket.to_bytes()).fingerprint == ticket.fingerprint
    with pytest.raises(TicketError, match="needs at least 458 numbers for 33000 weights, but has 404"):
        ticket.with_version(2).to_bytes()


def test_real_networks_fit_in_version_2_at_a_thousandth():
    resnet50, vgg16 = (23_467_712, 106_210), (138_344_128, 13_416)  # weights, other numbers
    for prunable, others in (resnet50, vgg16, (2**30, 0)):
        assert not is_too_sparse(prunable, prunable // 1000 + others)
    assert not is_too_sparse(2**24, 1)
    assert is_too_sparse(2**24 + 1025, 1)
    assert is_too_sparse(vgg16[0], 1 + vgg16[1])


def test_the_steps_of_an_epoch_stand_only_in_the_file_of_a_rewound_ticket(tmp_path):
    for step, expected in ((5, 9), (0, None)):
        ticket = draw_ticket(rewind_step=step, steps_per_epoch=9)
        ticket.save(tmp_path / "ticket")
        assert Ticket.load(tmp_path / "ticket").header.steps_per_epoch == expected
        assert ("steps_per_epoch" in ticket.header.model_dump(mode="json")) == (expected is not None)


def test_steps_of_an_epoch_without_a_rewind_step_are_refused(tmp_path):
    ticket = draw_ticket(rewind_step=0)
    lie = replace(ticket, header=ticket.header.model_copy(update={"steps_per_epoch": 9}))
    lie.save(tmp_path / "lie")
    with pytest.raises(TicketError, match="steps_per_epoch belongs to a rewind step"):
        Ticket.load(tmp_path / "lie")
