import pytest
import torch
from torch import nn

from lottery_pipeline.models.classifier import Classifier, Normalise
from lottery_pipeline.models.prunable import prunable_parameters
from lottery_pipeline.models.registry import build_model
from lottery_pipeline.ownership import path_scores
from lottery_pipeline.ownership.errors import OwnershipError
from lottery_pipeline.ownership.path_scores import (
    Link,
    find_links,
    rank_weights,
    score_betweenness,
    score_paths,
)
from lottery_pipeline.reproducibility.seeds import make_generator
from tests.reference.paths_naive import count_shortest, list_edges, path_shares
from tests.tiny import draw_masks, tiny_spec

CHAIN = [Link(0, 1, "first"), Link(1, 2, "second")]
# A stem, a block with an identity shortcut, a block with a layer as shortcut, a flattened stream.
RESIDUAL = [
    Link(0, 1, "stem"),
    Link(1, 2, "a1"),
    Link(2, 3, "a2"),
    Link(1, 3, None),
    Link(3, 4, "b1"),
    Link(4, 5, "b2"),
    Link(3, 5, "shortcut"),
    Link(5, 6, "fc"),
]
SHAPES = {
    "stem": (2, 1, 3, 3),
    "a1": (3, 2, 3, 3),
    "a2": (2, 3, 3, 3),
    "b1": (2, 2, 1, 1),
    "b2": (3, 2, 1, 1),
    "shortcut": (3, 2, 1, 1),
    "fc": (2, 12),
}
WIDTHS = {0: 1, 1: 2, 2: 3, 3: 2, 4: 2, 5: 3, 6: 2}


def build(name, **changes):
    return build_model(tiny_spec(name, **changes), seed=0, device="meta")


def draw(shapes, seed=0, density=0.6):
    generator = make_generator(seed, "paths")
    weights = {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}
    masks = {name: torch.rand(shape, generator=generator) < density for name, shape in shapes.items()}
    return masks, weights


def plain(links):
    return [(link.reads, link.writes, link.layer) for link in links]


def as_edges(scores, links):
    """Scores by edge, zeros and shortcuts left out."""
    return {
        ((link.reads, source), (link.writes, target)): value
        for link in links
        if link.layer is not None
        for target, row in enumerate(scores[link.layer].tolist())
        for source, value in enumerate(row)
        if value > 0
    }


def without_shortcuts(scores, links):
    pairs = {(link.reads, link.writes) for link in links if link.layer is not None}
    return {edge: value for edge, value in scores.items() if value > 0 and (edge[0][0], edge[1][0]) in pairs}


def test_a_chain_has_one_stream_after_each_layer():
    assert find_links(build("lenet_300_100")) == [
        Link(0, 1, "network.fc1.weight"),
        Link(1, 2, "network.fc2.weight"),
        Link(2, 3, "network.fc.weight"),
    ]


@pytest.mark.parametrize(
    "name",
    ["conv2", "conv6", "vgg16", "resnet20", "resnet50", "torchvision:resnet18", "torchvision:vgg11"],
)
def test_the_links_hold_every_prunable_layer_once(name):
    model = build(name, width=32)
    layers = [link.layer for link in find_links(model) if link.layer is not None]
    assert sorted(layers) == sorted(prunable_parameters(model))


def test_a_shortcut_is_an_identity_or_a_layer():
    links = find_links(build("resnet20", width=8))
    assert links[1:4] == [
        Link(1, 2, "network.layer1.0.conv1.weight"),
        Link(2, 3, "network.layer1.0.conv2.weight"),
        Link(1, 3, None),
    ]
    assert [link.layer for link in links].count(None) == 7
    assert Link(7, 9, "network.layer2.0.downsample.0.weight") in links


def test_removed_blocks_and_narrow_layers_keep_their_links():
    block = "network.layer1.1"
    narrowed = ((f"{block}.conv1", 16, 5), (f"{block}.bn1", 5, 5), (f"{block}.conv2", 5, 16))
    changes = {"removed_blocks": ("network.layer1.2",), "narrowed": narrowed}
    model = build_model(tiny_spec("resnet20", width=8, **changes), seed=0)
    weights = {name: weight.detach() for name, weight in prunable_parameters(model).items()}
    scores = score_paths({}, weights, find_links(model))
    assert len(scores) == len(weights) == 20
    assert scores[f"{block}.conv2.weight"].shape == (16, 5)


@pytest.mark.parametrize("name", ["torchvision:mobilenet_v2", "torchvision:resnext50_32x4d"])
def test_an_unknown_structure_is_refused_with_the_scores_that_still_work(name):
    with pytest.raises(OwnershipError, match="'omp' or 'random'"):
        find_links(build(name, width=32))


def test_a_plain_sequence_without_relu_is_unknown():
    layers = nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.Sigmoid(), nn.Linear(3, 2))
    with pytest.raises(OwnershipError, match="paths through this Sequential are unknown"):
        find_links(Classifier(Normalise((0.5,), (0.25,)), layers))


def test_path_products_of_a_small_chain_are_those_on_paper():
    # From both inputs to the one output through two hidden channels: masses 1*5, 2*7 and 3*7, in all 40.
    weights = {"first": torch.tensor([[1.0, 0.0], [-2.0, 3.0]]), "second": torch.tensor([[5.0, -7.0]])}
    scores = score_paths({}, weights, CHAIN)
    torch.testing.assert_close(
        torch.from_numpy(scores["first"]), torch.tensor([[5, 0], [14, 21]], dtype=torch.float64) / 40
    )
    torch.testing.assert_close(
        torch.from_numpy(scores["second"]), torch.tensor([[5, 35]], dtype=torch.float64) / 40
    )


@pytest.mark.parametrize("seed", range(3))
def test_path_products_equal_an_enumeration_of_all_paths(seed):
    masks, weights = draw(SHAPES, seed)
    edges = list_edges(masks, weights, plain(RESIDUAL), WIDTHS)
    wanted = path_shares(edges, [(0, 0)], [(6, 0), (6, 1)])
    found = as_edges(score_paths(masks, weights, RESIDUAL), RESIDUAL)
    assert found == pytest.approx(without_shortcuts(wanted, RESIDUAL), rel=1e-9)
    assert found


def test_a_shortcut_takes_its_share_of_the_paths():
    # One channel everywhere: the block has a mass of 3 beside the shortcut's 1.
    weights = {name: torch.full((1, 1), value) for name, value in (("stem", 2.0), ("a1", 3.0), ("a2", 1.0))}
    links = [*RESIDUAL[:4], Link(3, 4, "stem")]
    scores = score_paths({}, weights, links)
    assert scores["a1"].item() == pytest.approx(0.75)
    assert scores["a2"].item() == pytest.approx(0.75)


def test_every_layer_of_a_chain_carries_the_whole_mass():
    model = build_model(tiny_spec("conv2", width=8), seed=0)
    weights = {name: weight.detach() for name, weight in prunable_parameters(model).items()}
    scores = score_paths(draw_masks(weights), weights, find_links(model))
    assert [score.sum() for score in scores.values()] == pytest.approx([1.0] * 5)
    assert scores["network.fc1.weight"].shape == (256, 64)  # a flattened channel is one cell


def test_path_products_neither_overflow_nor_vanish_in_a_deep_network():
    weights = {str(place): torch.full((2, 2), 1e30 if place < 40 else 1e-30) for place in range(100)}
    links = [Link(place, place + 1, str(place)) for place in range(100)]
    for score in score_paths({}, weights, links).values():
        assert score == pytest.approx(0.25)


def test_path_products_of_a_broken_network_are_zero():
    masks, weights = draw({"first": (2, 3), "second": (3, 2)})
    masks["first"][:] = False
    assert all(not score.any() for score in score_paths(masks, weights, CHAIN).values())


def test_betweenness_of_a_3_2_3_network_equals_a_count_of_all_paths():
    first = torch.tensor([[1.0, 2.0, 0.0], [1.0, 0.5, 4.0]])
    second = torch.tensor([[1.0, -1.0], [2.0, 0.25], [-3.0, 0.0]])
    weights = {"first": first, "second": second}
    scores = score_betweenness({}, weights, CHAIN)
    widths = {0: 3, 1: 2, 2: 3}
    edges = list_edges(
        {name: torch.ones_like(weight, dtype=torch.bool) for name, weight in weights.items()},
        weights,
        plain(CHAIN),
        widths,
    )
    nodes = [(stream, channel) for stream, width in widths.items() for channel in range(width)]
    assert as_edges(scores, CHAIN) == pytest.approx(count_shortest(edges, nodes))
    # From input 0 both ways to output 0 are of length 2, so each of the four edges counts one half.
    assert scores["first"][1, 0] == pytest.approx(1.5)
    assert scores["first"][0, 2] == 0.0


@pytest.mark.parametrize("seed", range(3))
def test_betweenness_counts_shortcuts_too(seed):
    masks, weights = draw(SHAPES, seed, density=0.5)
    edges = list_edges(masks, weights, plain(RESIDUAL), WIDTHS)
    nodes = [(stream, channel) for stream, width in WIDTHS.items() for channel in range(width)]
    found = as_edges(score_betweenness(masks, weights, RESIDUAL), RESIDUAL)
    assert found == pytest.approx(without_shortcuts(count_shortest(edges, nodes), RESIDUAL))
    assert found


def test_betweenness_of_a_large_network_is_refused(monkeypatch):
    masks, weights = draw({"first": (2, 3), "second": (3, 2)})
    monkeypatch.setattr(path_scores, "MAX_RELAXATIONS", 10)
    with pytest.raises(OwnershipError, match="may look at 10"):
        score_betweenness(masks, weights, CHAIN)


@pytest.mark.parametrize("score", [score_paths, score_betweenness])
def test_links_that_do_not_fit_are_refused(score):
    masks, weights = draw({"first": (2, 3), "second": (3, 5)})
    with pytest.raises(OwnershipError, match="does not fit the shape of second"):
        score(masks, weights, CHAIN)
    with pytest.raises(OwnershipError, match="does not fit the shape of a shortcut"):
        score(masks, weights, [Link(0, 1, "first"), Link(0, 1, None)])
    with pytest.raises(OwnershipError, match="there is no weight of this name"):
        score(masks, weights, [Link(0, 1, "third")])
    weights["first"][0, 0] = torch.inf
    masks["first"][0, 0] = True
    with pytest.raises(OwnershipError, match="the weights of first are not all finite"):
        score(masks, weights, CHAIN[:1])


def test_weights_rank_by_cell_then_size_then_index():
    magnitudes = {"a": torch.tensor([[[1.0, 3.0], [9.0, 3.0]]]), "b": torch.tensor([[3.0, 3.0]])}
    cells = {"a": torch.tensor([[0.5, 0.1]]).numpy(), "b": torch.tensor([[0.5, 0.2]]).numpy()}
    ranks = rank_weights(cells, magnitudes)
    assert ranks["a"].tolist() == [[[-2.0, 0.0], [-4.0, -5.0]]]
    assert ranks["b"].tolist() == [[-1.0, -3.0]]
    with pytest.raises(OwnershipError, match="lacks the masked layers"):
        rank_weights({"a": cells["a"]}, magnitudes)
