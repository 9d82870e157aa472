import logging
import re
from dataclasses import replace

import pytest
import torch

from lottery_pipeline.ownership.attacks.trials import QrVictim, run_trials
from lottery_pipeline.ownership.attacks.victim import Victim
from lottery_pipeline.ownership.errors import OwnershipError
from lottery_pipeline.ownership.qr_code import make_symbol
from lottery_pipeline.ownership.qr_signature import embed_symbol
from lottery_pipeline.tickets.ticket import make_ticket
from lottery_pipeline.training.result import DivergenceError
from tests.ownership.attacks.test_attack import attack
from tests.ownership.attacks.victims import RECIPE as QR_RECIPE
from tests.ownership.attacks.victims import draw_state, draw_trained
from tests.ownership.tiny_claims import RECIPE, tiny_claim, tiny_images
from tests.tiny import draw_images


@pytest.fixture(scope="module")
def signed():
    return tiny_claim()


@pytest.fixture(scope="module")
def opened(signed):
    return signed.opened()


@pytest.fixture
def victim(signed):
    return Victim(signed.claim.ticket, tiny_images(), RECIPE, 0, "cpu")


@pytest.fixture(scope="module")
def compared():
    images, symbol = draw_images(side=8), make_symbol("signature")
    ticket = draw_trained(images, "resnet20", density=0.2)
    signed = embed_symbol(ticket.masks, symbol, seed=0)
    marked = make_ticket(
        method="ltr",
        spec=ticket.header.spec,
        masks=signed.masks,
        state=draw_state({**ticket.state, **_filled(ticket)}, seed=0),
        seed=0,
        rewind_step=0,
        parents={},
        kind="trained",
    )
    return QrVictim(Victim(marked, images, QR_RECIPE, 0, "cpu"), symbol, signed.position, "signature")


def _filled(ticket):
    generator = torch.Generator().manual_seed(1)
    return {name: 0.1 * torch.randn(mask.shape, generator=generator) for name, mask in ticket.masks.items()}


def refuse(_victim):
    raise OwnershipError("this network has no channels")


def diverge(_victim):
    raise DivergenceError("attack A1 diverged in epoch 2")


def empty(victim):
    """Forget everything: no group shows anything."""
    model = victim.build()
    with torch.no_grad():
        for weight in victim.weights(model).values():
            weight.zero_()
    return model


def run(attacks, victim, signed, opened, **changes):
    return list(run_trials(attacks, victim, signed.claim, opened, **changes))


def test_the_signed_ticket_itself_shows_all(victim, signed, opened):
    [row] = run([attack(id="A0", name="none")], victim, signed, opened)
    seconds = row.pop("seconds")
    hits = row.pop("trigger_hits"), row.pop("trigger_bits")
    assert 0 <= seconds < 10
    assert hits[0] > 10
    assert row == {
        "attack": "A0",
        "name": "none",
        "family": "victim",
        "parameters": "",
        "seed": 0,
        "accuracy": row["accuracy"],
        "accuracy_drop": 0.0,
        "bits": 382.0,  # 128 groups of 3 bits, less the 2 bits of four readings
        "alpha_bits": 64,
        "detected": True,
        "decoded": True,
        "matches": 128,
        "counted": 128,
        "aligned": False,
        "normalised": False,
        "trigger_counted": 100,
        "verdict": "owned",
        "pledge": "must",
        "note": "",
        "held": True,
        "qr_decoded": None,
        "qr_matched": None,
        "qr_read": None,
        "qr_accuracy": None,
    }
    assert row["accuracy"] > 0.9


@pytest.mark.parametrize(
    ("run_attack", "note"),
    [(refuse, "this network has no channels"), (diverge, "attack A1 diverged in epoch 2")],
)
def test_an_attack_that_is_impossible_has_a_note_and_breaks_nothing(run_attack, note, victim, signed, opened):
    [row] = run([attack(run=run_attack)], victim, signed, opened)
    assert (row["note"], row["held"], row["accuracy"], row["accuracy_drop"]) == (note, None, None, None)
    assert (row["bits"], row["detected"], row["verdict"], row["alpha_bits"]) == (0.0, False, "not shown", 64)


def test_other_errors_are_not_swallowed(victim, signed, opened):
    def fail(_victim):
        raise RuntimeError("a fault of ours")

    with pytest.raises(RuntimeError, match="a fault of ours"):
        run([attack(run=fail)], victim, signed, opened)


@pytest.mark.parametrize(
    ("changes", "held"),
    [
        ({"budget": None}, False),
        ({"budget": 0.01}, None),  # it costs all accuracy
        ({"pledge": "report"}, None),
        ({"budget": None, "covers": lambda point: bool(point)}, None),
    ],
)
def test_a_promise_is_broken_only_where_it_was_made(changes, held, victim, signed, opened):
    [row] = run([attack(run=empty, **changes)], victim, signed, opened)
    assert (row["detected"], row["bits"], row["held"]) == (False, 0.0, held)
    assert row["accuracy_drop"] > 0.5


def test_every_point_is_tried_with_every_seed(victim, signed, opened):
    called = []

    def note(victim, *, share):
        called.append((share, victim.seed))
        return victim.build()

    quick, full = ({"share": 0.25},), ({"share": 0.25}, {"share": 1e-8})
    chosen = [attack(run=note, quick=quick, grid=full)]
    rows = run(chosen, victim, signed, opened, seeds=(3, 7))
    assert called == [(0.25, 3), (0.25, 7)]
    assert [(row["seed"], row["parameters"]) for row in rows] == [(3, "share=0.25"), (7, "share=0.25")]
    rows = run(chosen, victim, signed, opened, grid="full", seeds=(3,))
    assert [row["parameters"] for row in rows] == ["share=0.25", "share=1e-08"]


def test_the_attacker_learns_how_many_groups_there_are(victim, signed, opened):
    groups = []

    def note(victim):
        groups.append(victim.groups)
        return victim.build()

    run([attack(run=note)], replace(victim, groups=7), signed, opened)
    assert groups == [128]


def test_what_an_attack_needs_and_the_victim_lacks_is_left_out(victim, signed, opened):
    needy = attack(id="A25", needs="other")
    assert run([needy], victim, signed, opened) == []
    [row] = run([needy], replace(victim, other=signed.claim.ticket), signed, opened)
    assert row["attack"] == "A25"


def test_after_a_transfer_accuracy_means_nothing(victim, signed, opened):
    moved = attack(id="A4", needs="other_images")
    [row] = run([moved], replace(victim, other_images=tiny_images()), signed, opened)
    assert (row["accuracy"], row["accuracy_drop"], row["held"]) == (None, None, True)


def test_without_triggers_the_mask_is_read_alone(victim, signed, opened):
    [row] = run([attack()], victim, signed, replace(opened, triggers=None))
    assert (row["trigger_hits"], row["trigger_counted"], row["trigger_bits"]) == (None, None, None)
    assert row["verdict"] == "owned"


def test_the_published_signature_is_attacked_alike(victim, signed, opened, compared):
    [row] = run([attack()], victim, signed, opened, compared=compared, seeds=(5,))
    assert (row["qr_decoded"], row["qr_matched"], row["qr_read"]) == (True, 551, 551)
    assert 0 <= row["qr_accuracy"] <= 1
    [row] = run([attack(run=empty)], victim, signed, opened, compared=compared)
    assert (row["qr_decoded"], row["qr_read"]) == (False, 551)
    assert row["qr_matched"] < 551


def test_a_layer_that_is_too_small_has_lost_the_code(victim, signed, opened, compared):
    position = replace(compared.position, layer="network.fc.weight")
    lost = replace(compared, position=position)
    [row] = run([attack()], victim, signed, opened, compared=lost)
    assert (row["qr_decoded"], row["qr_matched"]) == (False, None)


def test_an_attack_that_fails_on_the_published_signature_leaves_its_columns_empty(
    victim, signed, opened, compared
):
    def only_lenet(victim):
        if victim.ticket.header.spec.name == "resnet20":
            raise OwnershipError("not this one")
        return victim.build()

    [row] = run([attack(run=only_lenet)], victim, signed, opened, compared=compared)
    assert (row["qr_decoded"], row["qr_accuracy"], row["note"]) == (None, None, "")


def test_attacks_with_an_insider_are_not_compared(victim, signed, opened, compared):
    row = run(
        [attack(needs="insider")], replace(victim, insider=bytes(32)), signed, opened, compared=compared
    )[0]
    assert row["qr_decoded"] is None


def test_the_log_says_what_is_left_to_do(victim, signed, opened, caplog):
    with caplog.at_level(logging.INFO, "lottery_pipeline.ownership.attacks.trials"):
        run([attack(id="A2"), attack(id="A3", run=refuse)], victim, signed, opened)
    lines = [record.getMessage() for record in caplog.records if record.name.endswith("attacks.trials")]
    first = r"attack 1 of 2: A2 n: accuracy \d+\.\d %, 382 bits, owned; about \d+ s left"
    assert re.fullmatch(first, lines[0])
    assert re.fullmatch(r"attack 2 of 2: A3 n: accuracy 0\.0 %, 0 bits, not shown; about 0 s left", lines[1])
