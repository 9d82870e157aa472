"""Signing and attacks on signed tickets are checked before the first node."""

from pathlib import Path
from typing import Any

import pytest

from lottery_pipeline.hooks.image_checks import Counts
from lottery_pipeline.hooks.ownership_checks import check_chosen_attacks, check_triggers, list_unsignable
from lottery_pipeline.hooks.search_checks import look_ahead
from lottery_pipeline.options.ownership import AttackOptions, SignatureOptions
from lottery_pipeline.parameters import METHOD_GROUPS, ModelParameters
from tests.hooks.test_image_checks import parameters
from tests.tiny import draw_ticket


def signing(name: str = "lenet_300_100", density: float | None = 0.25, **given: Any) -> dict[str, Any]:
    cts = METHOD_GROUPS["cts"](extraction={"density": density})
    return parameters() | {"model": ModelParameters(name=name), "cts": cts, **given}


def test_stamped_images_must_be_there() -> None:
    check_triggers(parameters(), Counts(100, 3))
    for counts, words in ((Counts(99, 3), "at most 24 each"), (Counts(100, 2), "3 classes or more")):
        with pytest.raises(ValueError, match=words):
            check_triggers(parameters(), counts)


def test_a_ticket_that_is_still_to_be_found_has_room_as_far_as_its_density_and_network_tell(
    tmp_path: Path,
) -> None:
    assert list(list_unsignable(signing(), None, tmp_path, None)) == []
    (fault,) = list_unsignable(signing(density=0.01), None, tmp_path, None)
    # 1 % of 50,200 weights are 502, and a group keeps 4 of them.
    assert fault == (
        "Parameter signature_embedding: a cts ticket of lenet_300_100 as it is asked for can hold at most "
        "125 groups of 8 carriers, but the mark needs 144; sign one that keeps more weights, but not all of "
        "them."
    )
    (fault,) = list_unsignable(signing(density=0.0105), None, tmp_path, None)
    assert fault.endswith("but not all of them, or lower groups to 131 or fewer.")
    (fault,) = list_unsignable(signing(density=0.99), None, tmp_path, None)
    assert "can hold at most 35 groups" in fault
    assert "can hold at most 0 groups" in next(
        list_unsignable(signing("tests.own_model:build"), None, tmp_path, None)
    )


def test_of_a_stored_ticket_its_header_tells(tmp_path: Path) -> None:
    path = tmp_path / "ticket.safetensors"
    draw_ticket().save(path)
    few = signing(density=1e-9)  # which was not the density when the ticket was made
    assert list(list_unsignable(few, path, tmp_path, None)) == []
    many = signing(signature_embedding=SignatureOptions(owner="somebody", groups=1600))
    (fault,) = list_unsignable(many, path, tmp_path, None)
    assert fault.startswith(f"Parameter signature_embedding: the ticket {path} can hold at most 1")
    assert ", or lower groups to 1" in fault


def test_a_ticket_that_keeps_every_weight_has_no_room(tmp_path: Path) -> None:
    (fault,) = list_unsignable(signing(ticket="layer"), None, tmp_path, None)
    assert fault.startswith(
        "Parameter ticket is 'layer', which keeps every weight of a smaller network and so"
    )


@pytest.mark.parametrize(
    ("network", "attack", "words"),
    [
        ("heads", "A4", "attack A4 needs a second data set, which this pipeline does not have"),
        (
            "convolution_head",
            "A29",
            "attacks has A29, but the logits of this network do not come from a linear",
        ),
        ("convolution_head", "A3", "attacks has A3, but the logits"),
        (
            "detached",
            "A27",
            "attacks has A27, but attacks follow the gradient of the loss by the pixels, which",
        ),
    ],
)
def test_an_attack_that_was_named_and_cannot_run_is_refused(network: str, attack: str, words: str) -> None:
    def ask(*attacks: str, **given: Any) -> None:
        asked = signing(
            f"tests.user_networks:{network}", ownership_attacks=AttackOptions(attacks=attacks), **given
        )
        check_chosen_attacks(asked, look_ahead(asked, Path(), None))

    with pytest.raises(ValueError, match=words):
        ask("A0", attack)
    ask("A0", "A20")
    ask()
    if attack != "A4":
        ask(attack, ticket="supertickets")  # whose network is another
