import pytest
import torch
import torchvision
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from lottery_pipeline.costs.macs import MacError, count_macs, theoretical_macs, total_macs
from lottery_pipeline.models.prunable import prunable_parameters
from lottery_pipeline.models.registry import build_model
from lottery_pipeline.models.spec import ModelSpec
from tests.models.supernet.networks import spec_of
from tests.reference.macs import cifar_resnet_macs, cifar_vgg_macs

# Forward multiply-accumulates at 32x32x3 and ten classes, in millions.
PUBLISHED = {"resnet20": 40.81, "resnet32": 69.12, "resnet56": 125.75, "resnet18": 555.4, "vgg16": 313.2}


def model_of(name, *, channels=3, side=32, removed=()):
    return build_model(
        ModelSpec(
            name=name,
            removed_blocks=removed,
            num_classes=10,
            channels=channels,
            image_size=(side, side),
            mean=(0.5,) * channels,
            std=(0.25,) * channels,
        ),
        seed=0,
        device="meta",
    )


@pytest.mark.parametrize("name", list(PUBLISHED))
def test_networks_cost_what_the_arithmetic_says(name):
    million = total_macs(count_macs(model_of(name), (3, 32, 32))) / 1e6
    assert round(million, 2 if million < 200 else 1) == PUBLISHED[name]


@pytest.mark.parametrize("depth", [20, 32, 44, 56, 110])
def test_cifar_resnets_cost_their_closed_form(depth):
    assert total_macs(count_macs(model_of(f"resnet{depth}"), (3, 32, 32))) == cifar_resnet_macs(depth)


@pytest.mark.parametrize(("name", "stages"), [("vgg16", (2, 2, 3, 3, 3)), ("vgg19", (2, 2, 4, 4, 4))])
def test_vggs_cost_their_closed_form(name, stages):
    assert total_macs(count_macs(model_of(name), (3, 32, 32))) == cifar_vgg_macs(stages)


def test_small_grey_images_cost_less():
    macs = count_macs(model_of("resnet20", channels=1, side=8), (1, 8, 8))
    assert total_macs(macs) == cifar_resnet_macs(20, side=8, channels=1)


def test_every_block_of_a_cifar_resnet_costs_the_same():
    macs = count_macs(model_of("resnet56"), (3, 32, 32))
    blocks = {
        stage: sum(count for name, count in macs.items() if name.startswith(f"network.layer{stage}.4."))
        for stage in (1, 2, 3)
    }
    assert set(blocks.values()) == {4_718_592}


def test_a_linear_network_costs_its_weights():
    macs = count_macs(model_of("lenet_300_100", channels=1, side=28), (1, 28, 28))
    assert macs == {
        "network.fc1.weight": 235_200,
        "network.fc2.weight": 30_000,
        "network.fc.weight": 1_000,
    }


def test_layers_are_those_that_can_be_pruned():
    model = model_of("resnet20")
    assert list(count_macs(model, (3, 32, 32))) == list(prunable_parameters(model))


def test_groups_strides_and_transposed_convolutions_are_counted():
    model = nn.Sequential(
        nn.Conv2d(2, 4, 3, stride=2, padding=1, groups=2),  # 4x4x4 outputs, 9 weights each
        nn.ConvTranspose2d(4, 2, 2, stride=2),  # 4x4x4 inputs, 8 weights each
    )
    assert count_macs(model, (2, 8, 8)) == {"0.weight": 64 * 9, "1.weight": 64 * 8}


def test_a_dilated_convolution_has_the_weights_of_any_other_and_fewer_outputs():
    model = nn.Sequential(
        nn.Conv2d(1, 2, 3, dilation=2),  # 9x9 inputs, a kernel of 5x5: 2x5x5 outputs, 9 weights each
        nn.Conv2d(2, 2, 3, dilation=3, padding=3, groups=2),  # 2x5x5 outputs, 9 weights each
        nn.ConvTranspose2d(2, 3, 2, dilation=4),  # 2x5x5 inputs, 12 weights each
    )
    macs = count_macs(model, (1, 9, 9))
    assert macs == {"0.weight": 50 * 9, "1.weight": 50 * 9, "2.weight": 50 * 12}


def test_a_layer_called_twice_counts_twice_and_an_idle_one_not_at_all():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.used = nn.Linear(4, 4)
            self.idle = nn.Linear(4, 4)
            self.twin = nn.Linear(4, 4)
            self.twin.weight = self.used.weight

        def forward(self, images):
            return self.twin(self.used(self.used(images)))

    assert count_macs(Net(), (1, 1, 4)) == {"used.weight": 48, "idle.weight": 0}


def test_all_of_an_attention_layer_is_counted():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

        def forward(self, images):
            tokens = images.flatten(1, 2)
            return self.attention(tokens, tokens, tokens)[0]

    macs = {
        "attention.out_proj.weight": 5 * 8 * 8,
        "attention.in_proj_weight": 5 * 8 * 24,
        "attention.products": 2 * 5 * 5 * 8,  # queries times keys, shares times values
    }
    assert count_macs(Net(), (1, 5, 8)) == macs
    assert torch_flops(Net().to("meta"), torch.zeros(1, 1, 5, 8, device="meta")) == 2 * sum(macs.values())


def test_products_in_attention_are_counted_beside_its_layers():
    macs = count_macs(build_model(spec_of("digits8"), seed=0, device="meta"), (1, 8, 8))
    products = {name: count for name, count in macs.items() if name.endswith(".products")}
    # encoder and decoder: 8 tokens of 16 numbers look at 8 tokens, at their keys and at their values
    assert products["network.stages.s2.branch2.block1.attention.products"] == 2 * 2 * 8 * 8 * 16
    assert len(products) == 5
    assert list(macs)[-5:] == list(products)


@pytest.mark.parametrize("preset", ["digits8", "canvas32", "cifar"])
def test_two_flops_per_mac_of_a_supernet_are_what_torch_counts(preset):
    model = build_model(spec_of(preset, 16), seed=0, device="meta")
    macs = total_macs(count_macs(model, (1, 16, 16)))
    assert torch_flops(model, torch.zeros(3, 1, 16, 16, device="meta")) == 3 * 2 * macs


def test_the_costs_of_the_specification_by_hand():
    assert total_macs(count_macs(nn.Conv2d(3, 8, 1), (3, 4, 4))) == 384
    half = torch.arange(24).reshape(8, 3, 1, 1) % 2 == 0
    assert theoretical_macs(count_macs(nn.Conv2d(3, 8, 1), (3, 4, 4)), {"weight": half}) == 192
    assert total_macs(count_macs(nn.Conv2d(8, 8, 5, padding=2, groups=8), (8, 4, 4))) == 3200


def test_counting_leaves_the_model_as_it_was():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2).eval(), nn.Flatten(), nn.Linear(72, 2))
    before = {key: value.clone() for key, value in model.state_dict().items()}
    count_macs(model, (1, 8, 8))
    assert [module.training for module in model] == [True, False, True, True]
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
    assert not any(module._forward_hooks for module in model.modules())


def test_a_failing_forward_leaves_no_hooks_behind():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Linear(5, 2))
    with pytest.raises(RuntimeError):
        count_macs(model, (1, 8, 8))
    assert not any(module._forward_hooks for module in model.modules())
    assert model[0].training


def test_theoretical_macs_are_weighted_by_the_density_of_each_layer():
    macs = {"conv": 1_000, "fc": 10, "ignored": 7}
    masks = {"conv": torch.tensor([True, False, False, False]), "fc": torch.tensor([True, True, False])}
    assert theoretical_macs(macs, masks) == 250 + 7 + 7
    assert theoretical_macs(macs, {}) == total_macs(macs) == 1_017


def torch_flops(model, images):
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        model.eval()(images)
    return counter.get_total_flops()


def test_layers_cost_their_hand_count():
    assert count_macs(nn.Conv2d(3, 16, 3, padding=1), (3, 32, 32)) == {"weight": 442_368}
    flat = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    assert count_macs(flat, (1, 8, 8)) == {"1.weight": 640}


@pytest.mark.parametrize(("name", "macs"), [("resnet32", 69_124_736), ("resnet56", 125_747_840)])
def test_published_networks_cost_their_exact_count(name, macs):
    assert total_macs(count_macs(model_of(name), (3, 32, 32))) == macs


@pytest.mark.parametrize(
    ("name", "macs", "parameters"), [("resnet32", 68_862_592, 464_154), ("resnet56", 125_485_696, 853_018)]
)
def test_shortcuts_without_weights_would_cost_what_is_published_for_option_a(name, macs, parameters):
    model = model_of(name)
    found = count_macs(model, (3, 32, 32))
    assert sum(count for layer, count in found.items() if "downsample" not in layer) == macs
    weights = [value.numel() for key, value in model.named_parameters() if "downsample" not in key]
    assert sum(weights) == parameters


def test_two_flops_per_mac_are_what_torch_counts():
    grouped = nn.Sequential(nn.Conv2d(4, 8, 3, stride=2, groups=2), nn.ReLU(), nn.Conv2d(8, 4, 1))
    depthwise = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1, groups=3), nn.BatchNorm2d(6), nn.Conv2d(6, 2, 1))
    networks = [
        *((model_of(name), (3, 32, 32)) for name in ("resnet32", "resnet56", "vgg16")),
        (grouped.to("meta"), (4, 9, 9)),
        (depthwise.to("meta"), (3, 5, 5)),
    ]
    for model, shape in networks:
        macs = total_macs(count_macs(model, shape))
        assert torch_flops(model, torch.zeros(1, *shape, device="meta")) == 2 * macs
        assert torch_flops(model, torch.zeros(5, *shape, device="meta")) == 5 * 2 * macs


def test_zeros_are_work_for_a_dense_kernel_but_not_in_theory():
    model = nn.Conv2d(1, 2, 3)
    images = torch.zeros(1, 1, 5, 5)
    before = torch_flops(model, images)
    mask = torch.zeros_like(model.weight, dtype=torch.bool)
    mask[0] = True
    model.weight.data.mul_(mask)
    macs = count_macs(model, (1, 5, 5))
    assert torch_flops(model, images) == before == 2 * total_macs(macs)
    assert theoretical_macs(macs, {"weight": mask}) == total_macs(macs) // 2


def test_equal_density_is_not_equal_arithmetic():
    macs = {"conv": 1_000, "fc": 10}
    full, empty = torch.ones(10, dtype=torch.bool), torch.zeros(10, dtype=torch.bool)
    assert theoretical_macs(macs, {"conv": full, "fc": full}) == total_macs(macs)
    assert theoretical_macs(macs, {"conv": full, "fc": empty}) == 1_000
    assert theoretical_macs(macs, {"conv": empty, "fc": full}) == 10


@pytest.mark.parametrize(("depth", "percent"), [(32, 6.826), (56, 3.7525)])
def test_every_removed_block_saves_its_share(depth, percent):
    removed = ("network.layer1.1", "network.layer2.2", "network.layer3.3")
    full = total_macs(count_macs(model_of(f"resnet{depth}"), (3, 32, 32)))
    small = total_macs(count_macs(model_of(f"resnet{depth}", removed=removed), (3, 32, 32)))
    assert full - small == 3 * 4_718_592
    assert 100 * (full - small) / full == pytest.approx(3 * percent, abs=2e-3)


def test_twenty_one_blocks_are_four_fifths_of_resnet56():
    removed = tuple(f"network.layer{stage}.{block}" for stage in (1, 2, 3) for block in range(2, 9))
    full = total_macs(count_macs(model_of("resnet56"), (3, 32, 32)))
    small = total_macs(count_macs(model_of("resnet56", removed=removed), (3, 32, 32)))
    assert round(100 * (full - small) / full, 2) == 78.80


def test_a_network_that_needs_two_images_has_the_macs_of_one():
    model = nn.Sequential(
        nn.Flatten(), nn.Linear(16, 8), nn.BatchNorm1d(8, track_running_stats=False), nn.Linear(8, 3)
    )
    assert count_macs(model, (1, 4, 4)) == {"1.weight": 128, "3.weight": 24}


@pytest.mark.parametrize("network", ["tied", "twice", "Embedded"])
def test_a_layer_computes_as_often_as_it_is_called_whoever_else_has_its_weight(network):
    name = f"tests.user_networks:{network}"
    spec = ModelSpec(name=name, num_classes=3, channels=1, image_size=(4, 4), mean=(0.5,), std=(0.25,))
    model = build_model(spec, seed=0, device="meta", allow_factory=name)
    expected = {
        "tied": {"network.a.weight": 2 * 16 * 16, "network.fc.weight": 48},
        "twice": {"network.0.weight": 54 * 16, "network.2.0.weight": 2 * 324 * 16, "network.4.2.weight": 18},
        "Embedded": {"network.pixels.weight": 128, "network.embedding.weight": 32, "network.fc.weight": 12},
    }
    macs = count_macs(model, (1, 4, 4))
    assert macs == expected[network]
    built, counter = build_model(spec, seed=0, allow_factory=name).eval(), FlopCounterMode(display=False)
    with counter:
        built(torch.zeros(1, 1, 4, 4))
    assert counter.get_total_flops() == 2 * total_macs(macs)
    assert theoretical_macs(macs, {"network.a.weight": torch.eye(16).bool()}) == total_macs(macs) - (
        480 if network == "tied" else 0
    )


def test_a_weight_of_a_functional_call_is_counted():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(8, 3)

        def forward(self, images):
            return nn.functional.linear(images.flatten(1, 2), self.fc.weight, self.fc.bias).mean(1)

    assert count_macs(Net(), (1, 5, 8)) == {"fc.weight": 5 * 8 * 3}


def test_computed_weights_are_counted_as_those_of_their_layer():
    model = nn.Sequential(
        nn.Flatten(), nn.utils.parametrizations.weight_norm(nn.Linear(16, 4)), nn.Linear(4, 2)
    )
    assert count_macs(model, (1, 4, 4)) == {"1.weight": 64, "2.weight": 8}


def test_a_layer_that_runs_without_a_product_that_can_be_seen_is_refused_by_name():
    class Sums(nn.Linear):
        def forward(self, images):
            return (images[:, None] * self.weight).sum(-1)

    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 4), Sums(4, 2))
    with pytest.raises(MacError, match="the multiply-accumulates of layer 2 cannot be counted: it runs, but"):
        count_macs(model, (1, 4, 4))


FAST = [
    "alexnet",
    "vgg11_bn",
    "resnet18",
    "squeezenet1_1",
    "mobilenet_v3_small",
    "shufflenet_v2_x0_5",
    "mnasnet0_5",
]
HEAVY = ["swin_t", "swin_v2_t", "vit_b_16", "maxvit_t", "convnext_tiny", "efficientnet_b0", "densenet121"]
HEAVY += ["googlenet", "inception_v3", "resnet50", "resnext50_32x4d", "wide_resnet50_2", "mobilenet_v2"]


@pytest.mark.parametrize("name", [*FAST, *(pytest.param(name, marks=pytest.mark.slow) for name in HEAVY)])
def test_a_network_of_torchvision_costs_what_torch_counts(name):
    given = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    with torch.device("meta"):
        model = torchvision.models.get_model(name, weights=None, **given)
    macs = count_macs(model, (3, 224, 224))
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        assert 2 * total_macs(macs) == torch_flops(model, torch.zeros(1, 3, 224, 224, device="meta"))
    idle = {name for name in macs if name.startswith(("aux", "AuxLogits")) and not macs[name]}
    assert all(macs[layer] for layer in prunable_parameters(model) if layer not in idle)
