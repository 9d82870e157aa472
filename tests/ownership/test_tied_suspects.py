"""A network with a tied weight is signed, trained and recognised like any other."""

import pytest
import torch

from lottery_pipeline.ownership.answers import ask_model, predict_with
from lottery_pipeline.ownership.errors import OwnershipError
from lottery_pipeline.ownership.suspect import gather_suspect, read_suspect
from lottery_pipeline.ownership.verify import verify_claim
from lottery_pipeline.sparsity.selection import keep_top_k
from lottery_pipeline.tickets.ticket import make_ticket
from tests.ownership.owners import make_key
from tests.ownership.tiny_claims import RECIPE, sign_tiny, tiny_images
from tests.tiny import pretrain_tiny

NETWORK = "tests.user_networks:tied_inside"
FIRST, SECOND = "network.rest.a.weight", "network.rest.b.weight"


@pytest.fixture(scope="module")
def signed():
    images = tiny_images()
    dense = pretrain_tiny(images, NETWORK, RECIPE, rewind_epoch=1.0)
    names = ("network.first.weight", FIRST, "network.rest.fc.weight")
    ticket = make_ticket(
        method="ltr",
        spec=dense.spec,
        masks=keep_top_k({name: dense.final[name].abs() for name in names}, 4200),
        state=dense.rewind,
        seed=0,
        rewind_step=dense.rewind_step,
        steps_per_epoch=dense.steps_per_epoch,
        parents={"dense": dense.fingerprint, "images": images.fingerprint},
        allow_factory=NETWORK,
    )
    return sign_tiny(ticket, dense, make_key())


def state_of(ticket, *, without=()):
    model = ticket.build()
    named = [*model.named_parameters(remove_duplicate=False), *model.named_buffers(remove_duplicate=False)]
    return {name: tensor.detach().clone() for name, tensor in named if name not in without}


@pytest.mark.parametrize("without", [(), (FIRST,), (SECOND,)], ids=["both names", "second", "first"])
def test_it_is_owned_under_whatever_name_the_tied_weight_was_saved(signed, without):
    suspect = gather_suspect(state_of(signed.claim.ticket, without=without), signed.claim.ticket)
    assert torch.equal(suspect.weights[FIRST], signed.claim.ticket.state[FIRST])
    assert suspect.missing == ()
    verdict = verify_claim(
        signed.claim, suspect, opened=signed.opened(), ask=ask_model(predict_with(suspect.model))
    )
    assert verdict["verdict"] == "owned"
    assert verdict["mask_code"]["matches"] == verdict["mask_code"]["counted"] == 128


def test_it_is_read_from_a_file_and_lacks_the_weight_where_neither_name_is_there(signed, tmp_path):
    from safetensors.torch import save_file

    ticket = signed.claim.ticket
    save_file(state_of(ticket, without=(FIRST,)), tmp_path / "second")
    assert torch.equal(read_suspect(tmp_path / "second", ticket).weights[FIRST], ticket.state[FIRST])
    save_file(state_of(ticket, without=(FIRST, SECOND)), tmp_path / "neither")
    with pytest.raises(OwnershipError, match=r"lacks network\.rest\.a\.weight"):
        read_suspect(tmp_path / "neither", ticket)
