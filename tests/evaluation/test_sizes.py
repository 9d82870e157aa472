"""Sizes of SuperTickets beside their supernet."""

from torch import nn

from lottery_pipeline.costs.macs import count_macs, total_macs
from lottery_pipeline.evaluation.sizes import count_size, keep_everything
from lottery_pipeline.models.registry import build_model
from lottery_pipeline.training.dense import pretrain
from tests.evaluation.three_tasks import RECIPE, draw_superticket, draw_tasks, specify
from tests.tiny import same_bits


def test_a_ticket_is_counted_against_the_whole_supernet():
    ticket = draw_superticket(draw_tasks()["segmentation"])
    size = count_size(ticket)
    whole = build_model(ticket.header.spec.restored(), seed=0)
    assert size["kept"] == ticket.kept
    assert size["prunable"] == sum(
        layer.weight.numel() for layer in whole.modules() if isinstance(layer, nn.Conv2d | nn.Linear)
    )
    assert size["prunable"] > ticket.prunable
    assert size["density"] == ticket.kept / size["prunable"]
    assert size["macs_dense"] == total_macs(count_macs(whole, (1, 8, 8)))
    assert size["macs_theoretical"] < size["macs_executed"] < size["macs_dense"]


def test_a_dense_run_is_a_ticket_of_density_1_with_its_final_weights():
    images = draw_tasks()["keypoints"]
    run = pretrain(images, specify(images), RECIPE, rewind_epoch=0, seed=0, device="cpu")
    ticket = keep_everything(run)
    size = count_size(ticket)
    assert same_bits(ticket.state, run.final)
    assert (size["density"], size["kept"], ticket.header.kind) == (1.0, run.metrics["prunable"], "trained")
    assert size["macs_theoretical"] == size["macs_executed"] == size["macs_dense"]
