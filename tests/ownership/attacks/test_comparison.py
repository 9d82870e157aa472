import torch

from lottery_pipeline.ownership.attacks.comparison import train_compared
from lottery_pipeline.ownership.qr_signature import extract_symbol
from lottery_pipeline.reproducibility.seeds import make_generator
from lottery_pipeline.tickets.ticket import make_ticket
from lottery_pipeline.training.recipe import Recipe
from tests.ownership.tiny_claims import tiny_dense, tiny_images, tiny_ticket
from tests.tiny import pretrain_tiny

RECIPE = Recipe(learning_rate=0.05, epochs=1, batch_size=100)


def test_a_ticket_without_room_is_trained_as_it_is():
    ticket = tiny_ticket()
    trained, compared = train_compared(
        ticket, tiny_dense(), tiny_images(), RECIPE.replace(epochs=4), "signature", seed=0, device="cpu"
    )
    assert compared is None
    assert trained.header.kind == "trained"
    assert all(torch.equal(trained.masks[name], mask) for name, mask in ticket.masks.items())


def test_a_ticket_with_room_is_trained_with_the_code_in_its_mask():
    images = tiny_images()
    dense = pretrain_tiny(images, "resnet20", RECIPE, rewind_epoch=0.0)
    names = [name for name, t in dense.initial.items() if name.endswith("weight") and t.dim() > 1]
    generator = make_generator(0, "masks")
    masks = {name: torch.rand(dense.initial[name].shape, generator=generator) < 0.4 for name in names}
    ticket = make_ticket(
        method="ltr",
        spec=dense.spec,
        masks=masks,
        state=dense.rewind,
        seed=0,
        rewind_step=0,
        parents={"images": images.fingerprint},
    )
    trained, compared = train_compared(ticket, dense, images, RECIPE, "signature", seed=0, device="cpu")
    assert compared.victim.ticket is trained
    found = extract_symbol(trained.state, compared.position, paste_back=True, expected=compared.symbol)
    assert found.text == compared.text == "signature"
    layer = compared.position.layer
    assert int(trained.masks[layer].sum()) == int(masks[layer].sum())
    assert not torch.equal(trained.masks[layer], masks[layer])
    others = [name for name in names if name != layer]
    assert all(torch.equal(trained.masks[name], masks[name]) for name in others)
    assert trained.header.parents["images"] == images.fingerprint
