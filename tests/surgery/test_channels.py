import sys

import pytest
import torch
from torch import nn

from lottery_pipeline.models.classifier import Classifier, Normalise
from lottery_pipeline.models.registry import build_model
from lottery_pipeline.reproducibility.seeds import make_generator
from lottery_pipeline.surgery.channels import (
    ChannelGroup,
    find_coupled_groups,
    find_inner_groups,
    find_known_groups,
    find_stream_groups,
)
from lottery_pipeline.tickets.errors import TicketError
from tests.supernets import supernet_spec
from tests.tiny import draw_images, tiny_spec


def build(name, width=4, **changes):
    return build_model(tiny_spec(name, width=width, **changes), seed=0, device="meta")


def classify(*layers):
    return Classifier(Normalise((0.5,), (0.25,)), nn.Sequential(*layers))


def test_a_basic_block_has_one_inner_group():
    groups = find_inner_groups(build("resnet20"))
    block = "network.layer2.1"
    assert len(groups) == 9
    assert groups[4] == ChannelGroup(32, (f"{block}.conv1",), (f"{block}.bn1",), ((f"{block}.conv2", 1),))
    assert groups[4].name == f"{block}.conv1"


def test_channels_of_layers_that_share_a_weight_are_in_no_group():
    first, second = nn.Linear(16, 16), nn.Linear(16, 16)
    rest = [nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3)]
    model = classify(nn.Flatten(), first, nn.ReLU(), second, nn.ReLU(), *rest)
    names = ["network.1", "network.3", "network.5", "network.7"]
    assert [group.name for group in find_inner_groups(model)] == names
    second.weight = first.weight
    assert [group.name for group in find_inner_groups(model)] == names[2:]
    images = (1, 4, 4)
    assert {group.name for group in find_coupled_groups(model.eval(), images)} == set(names[2:])


def test_a_bottleneck_has_two_inner_groups():
    groups = find_inner_groups(build("resnet50"))
    assert len(groups) == 32
    assert groups[1].name == "network.layer1.0.conv2"
    assert groups[1].inputs == (("network.layer1.0.conv3", 1),)


def test_the_channels_of_a_vgg_end_in_its_linear_layer():
    groups = find_inner_groups(build("vgg16", width=16))
    assert len(groups) == 13
    assert groups[-1].inputs == (("network.fc", 1),)
    assert groups[0].norms == ("network.features.1",)


def test_a_flattened_channel_has_a_column_for_every_pixel():
    groups = {group.name: group for group in find_inner_groups(build("conv2", width=8))}
    assert groups["network.features.2"].inputs == (("network.fc1", 16),)
    assert groups["network.fc2"].inputs == (("network.fc", 1),)


def test_the_blocks_of_a_reduced_network_have_its_widths():
    block = "network.layer1.1"
    widths = ((f"{block}.conv1", 16, 5), (f"{block}.bn1", 5, 5), (f"{block}.conv2", 5, 16))
    model = build("resnet20", removed_blocks=("network.layer1.2",), narrowed=widths)
    groups = find_inner_groups(model)
    assert [group.size for group in groups] == [16, 5, 32, 32, 32, 64, 64, 64]


@pytest.mark.parametrize("name", ["torchvision:resnext50_32x4d", "torchvision:mobilenet_v2"])
def test_grouped_convolutions_and_unknown_networks_have_no_groups(name):
    assert find_inner_groups(build(name, width=32)) == []


def test_a_plain_sequence_with_relus_is_a_chain():
    tail = [nn.MaxPool2d(2), nn.Flatten(), nn.Linear(12, 3)]
    model = classify(nn.Sequential(nn.Conv2d(1, 3, 3, padding=1), nn.BatchNorm2d(3), nn.ReLU()), *tail)
    assert find_inner_groups(model) == [
        ChannelGroup(3, ("network.0.0",), ("network.0.1",), (("network.3", 4),))
    ]


@pytest.mark.parametrize(
    "layers",
    [
        (nn.Conv2d(1, 3, 3), nn.Tanh(), nn.Flatten(), nn.Linear(12, 3)),
        (nn.Conv2d(1, 3, 3), nn.Flatten(), nn.Linear(12, 3)),
        (nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Linear(2, 3), nn.Flatten(), nn.Linear(18, 3)),
    ],
)
def test_other_sequences_are_not_chains(layers):
    assert find_inner_groups(classify(*layers)) == []


def test_a_layer_that_is_called_twice_makes_no_chain():
    layer, relu = nn.Conv2d(1, 1, 1), nn.ReLU()
    assert find_inner_groups(classify(layer, relu, layer, relu, nn.Flatten(), nn.Linear(16, 3))) == []


def test_coupled_groups_span_a_stage():
    model = build_model(tiny_spec("resnet20", width=4), seed=0).eval()
    groups = {group.name: group for group in find_coupled_groups(model, (1, 4, 4))}
    assert len(groups) == 9 + 3
    stage = groups["network.conv1"]
    assert stage.size == 16
    assert stage.outputs == ("network.conv1", *(f"network.layer1.{index}.conv2" for index in range(3)))
    assert stage.norms == ("network.bn1", *(f"network.layer1.{index}.bn2" for index in range(3)))
    readers = [f"network.layer1.{index}.conv1" for index in range(3)]
    readers += ["network.layer2.0.conv1", "network.layer2.0.downsample.0"]
    assert stage.inputs == tuple((name, 1) for name in readers)
    inner = {group.name: group for group in find_inner_groups(model)}
    assert {name: group for name, group in groups.items() if name in inner} == inner


class Concatenation(nn.Module):
    def __init__(self):
        super().__init__()
        self.left, self.right = nn.Conv2d(1, 2, 1), nn.Conv2d(1, 3, 1)
        self.joined, self.fc = nn.Conv2d(5, 4, 1), nn.Linear(64, 3)

    def forward(self, images):
        both = torch.cat([self.left(images), self.right(images)], 1)
        return self.fc(self.joined(both).relu().flatten(1))


def test_channels_that_are_concatenated_are_left_alone():
    model = Classifier(Normalise((0.5,), (0.25,)), Concatenation()).eval()
    assert find_coupled_groups(model, (1, 4, 4)) == [
        ChannelGroup(4, ("network.joined",), (), (("network.fc", 16),))
    ]


def test_without_torch_pruning_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch_pruning", None)
    with pytest.raises(TicketError, match=r"install lottery_pipeline\[compact\]"):
        find_coupled_groups(classify(nn.Flatten(), nn.Linear(16, 3)), (1, 4, 4))


def test_a_search_for_groups_leaves_the_model_as_it_was():
    model = build_model(tiny_spec("resnet20", width=4), seed=0).eval()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    find_coupled_groups(model, (1, 4, 4))
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def in_sets(groups):
    return {
        (group.size, frozenset(group.outputs), frozenset(group.norms), frozenset(group.inputs))
        for group in groups
    }


@pytest.mark.parametrize(
    ("name", "width", "changes", "sizes"),
    [
        ("resnet20", 4, {}, [16, 32, 64]),
        ("resnet20", 4, {"removed_blocks": ("network.layer1.0", "network.layer2.2")}, [16, 32, 64]),
        ("resnet18", 8, {}, [64, 128, 256, 512]),
        ("resnet50", 8, {}, [64, 256, 512, 1024, 2048]),
        ("resnet50", 8, {"removed_blocks": ("network.layer3.4",)}, [64, 256, 512, 1024, 2048]),
        ("torchvision:resnet18", 32, {}, [64, 128, 256, 512]),
    ],
)
def test_streams_are_the_groups_that_torch_pruning_finds_beside_the_inner_ones(name, width, changes, sizes):
    model = build_model(tiny_spec(name, width=width, **changes), seed=0).eval()
    streams, inner = find_stream_groups(model), find_inner_groups(model)
    assert [group.size for group in streams] == sizes
    coupled = find_coupled_groups(model, (1, width, width))
    assert in_sets(streams) | in_sets(inner) == in_sets(coupled)
    assert len(streams) + len(inner) == len(coupled)


def test_every_output_of_a_stream_is_followed_by_its_norm():
    first, second, _ = find_stream_groups(build("resnet20"))
    assert first.name == "network.conv1"
    assert second.outputs[:2] == ("network.layer2.0.downsample.0", "network.layer2.0.conv2")
    assert second.norms[:2] == ("network.layer2.0.downsample.1", "network.layer2.0.bn2")
    assert second.inputs[0] == ("network.layer2.1.conv1", 1)


def test_the_last_stream_is_read_by_the_classifier():
    assert find_stream_groups(build("resnet20"))[-1].inputs[-1] == ("network.fc", 1)


def test_a_narrowed_network_has_the_streams_of_the_full_one():
    block = "network.layer1.1"
    widths = ((f"{block}.conv1", 16, 5), (f"{block}.bn1", 5, 5), (f"{block}.conv2", 5, 16))
    assert find_stream_groups(build("resnet20", narrowed=widths)) == find_stream_groups(build("resnet20"))


@pytest.mark.parametrize(
    "name", ["vgg16", "conv2", "lenet_300_100", "torchvision:vgg11", "torchvision:mobilenet_v2"]
)
def test_networks_without_shortcuts_or_of_unknown_structure_have_no_streams(name):
    assert find_stream_groups(build(name, width=32)) == []


def test_the_streams_of_grouped_convolutions_end_at_layers_that_can_be_narrowed():
    streams = find_stream_groups(build("torchvision:resnext50_32x4d", width=32))
    assert [group.size for group in streams] == [64, 256, 512, 1024, 2048]
    assert all(
        name.endswith(("conv1", "downsample.0", "fc")) for group in streams for name, _ in group.inputs
    )


def test_hidden_channels_of_a_supernet_can_be_permuted_without_a_trace():
    spec = supernet_spec(draw_images(side=8))
    model = build_model(spec, seed=0).eval()
    groups = find_known_groups(model)
    assert [group.name for group in groups][:2] == [
        "network.stages.s1.fuse.from1_to1.groups.k3.expand",
        "network.stages.s1.fuse.from1_to1.groups.k5.expand",
    ]
    images = torch.rand(2, 1, 8, 8, generator=make_generator(0))
    with torch.no_grad():
        for name, buffer in model.named_buffers():
            if name.endswith("running_mean"):
                buffer.copy_(torch.rand(buffer.shape, generator=make_generator(1)))
        before = model(images)
        tensors = model.state_dict()
        for group in groups:
            order = torch.arange(group.size).flip(0)
            for layer in group.outputs:
                tensors[f"{layer}.weight"].copy_(tensors[f"{layer}.weight"][order])
            for norm in group.norms:
                for part in ("weight", "bias", "running_mean", "running_var"):
                    tensors[f"{norm}.{part}"].copy_(tensors[f"{norm}.{part}"][order])
            for layer, _ in group.inputs:
                tensors[f"{layer}.weight"].copy_(tensors[f"{layer}.weight"][:, order])
        torch.testing.assert_close(model(images), before)
