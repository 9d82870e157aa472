import torch
from torch import nn

from lottery_pipeline.methods.magnitude import extract_magnitude, magnitude_scores
from lottery_pipeline.options import StartOptions
from lottery_pipeline.search.extraction import Search
from lottery_pipeline.sparsity import keep_top_k
from tests.tiny import OWN_MODEL, RECIPE, draw_images, pretrain_tiny


def test_scores_are_magnitudes_of_prunable_weights():
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.Linear(2, 1))
    model[0].weight.data = torch.tensor([[1.0, -3.0], [0.0, 2.0]])
    model[2].weight.data = torch.tensor([[-4.0, 0.5]])
    scores = magnitude_scores(model)
    assert {name: score.tolist() for name, score in scores.items()} == {
        "0.weight": [[1.0, 3.0], [0.0, 2.0]],
        "2.weight": [[4.0, 0.5]],
    }
    scores["0.weight"].fill_(7.0)
    assert model[0].weight.tolist() == [[1.0, -3.0], [0.0, 2.0]]


def test_the_largest_weights_of_the_start_point_are_kept():
    images = draw_images()
    dense = pretrain_tiny(images)
    found = extract_magnitude(
        Search(images, dense, RECIPE, seed=0, device="cpu", allow_factory=OWN_MODEL),
        StartOptions(density=0.2, start="rewind"),
    )
    expected = keep_top_k({name: dense.rewind[name].abs() for name in found.ticket.masks}, 38)
    assert all(torch.equal(mask, expected[name]) for name, mask in found.ticket.masks.items())
    assert found.search_epochs == 0
