"""A network whose blocks share a weight becomes smaller where they do not, and keeps what is shared."""

import pytest

from lottery_pipeline.evaluation.retraining import retrain_ticket
from lottery_pipeline.methods.filter.filter import extract_filter
from lottery_pipeline.methods.layer.layer import extract_layer
from lottery_pipeline.options.filter import FilterOptions
from lottery_pipeline.options.layer import LayerOptions
from lottery_pipeline.search.extraction import Search
from lottery_pipeline.tickets.ticket import Ticket
from tests.methods.layer.networks import RECIPE
from tests.tiny import draw_images, pretrain_tiny

NETWORK = "tests.user_networks:tied_resnet"
TIED = ("network.layer1.1", "network.layer1.2")
FREE = ("network.layer2.1", "network.layer3.2")


@pytest.fixture(scope="module")
def images():
    return draw_images(counts=(12, 3, 3))


@pytest.fixture(scope="module")
def dense(images):
    return pretrain_tiny(images, NETWORK, RECIPE, rewind_epoch=1.0)


def check(ticket, images, path):
    """Save, load and train a ticket: the two blocks have one weight all the time, of its full size."""
    ticket.save(path)
    loaded = Ticket.load(path, allow_factory=NETWORK)
    trained = retrain_ticket(loaded, images, RECIPE, seed=0, device="cpu").ticket
    for stage in (loaded, trained):
        model = stage.build()
        one, other = (model.get_submodule(f"{block}.conv1").weight for block in TIED)
        assert one is other
        assert one.shape == (16, 16, 3, 3)
        assert f"{TIED[1]}.conv1.weight" not in stage.state


def test_a_layer_ticket_leaves_the_blocks_that_share_a_weight(images, dense, tmp_path):
    options = LayerOptions(criterion="random", images_per_class=2, removed=2)
    found = extract_layer(Search(images, dense, RECIPE, seed=0, device="cpu", allow_factory=NETWORK), options)
    removed = found.ticket.header.spec.removed_blocks
    assert len(removed) == 2
    assert not {*removed} & {*TIED}
    check(found.ticket, images, tmp_path / "ticket")


def test_a_filter_ticket_leaves_the_channels_of_a_weight_that_is_shared(images, dense, tmp_path):
    match = dense.spec.model_copy(update={"removed_blocks": FREE})
    search = Search(images, dense, RECIPE, seed=0, device="cpu", match=match, allow_factory=NETWORK)
    found = extract_filter(search, FilterOptions(criterion="l1", images_per_class=2))
    narrowed = {row["layer"] for row in found.trace if row["channels_after"] < row["channels_before"]}
    assert narrowed
    assert not narrowed & {f"{block}.conv1" for block in TIED}
    check(found.ticket, images, tmp_path / "ticket")
