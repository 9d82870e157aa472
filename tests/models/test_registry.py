import time
import warnings

import pytest
import torch
from torch import nn
from torchvision.models import get_model_builder

from lottery_pipeline.models.names import BUILT_IN_MODELS, SUPERNET, ModelError
from lottery_pipeline.models.prunable import prunable_parameters
from lottery_pipeline.models.registry import BUILDERS, build_model, ensure_buildable
from lottery_pipeline.models.torchvision_models import torchvision_names

# Prunable weights and all parameters at 32x32x3 (LeNet: 28x28x1) and ten classes.
SIZES = {
    "lenet_300_100": (266_200, 266_610),
    "conv2": (4_300_992, 4_301_642),
    "conv4": (2_425_024, 2_425_930),
    "conv6": (2_261_184, 2_262_602),
    "resnet20": (270_896, 272_474),
    "resnet32": (464_432, 466_906),
    "resnet44": (657_968, 661_338),
    "resnet56": (851_504, 855_770),
    "resnet110": (1_722_416, 1_730_714),
    "resnet18": (11_164_352, 11_173_962),
    "resnet50": (23_467_712, 23_520_842),
    "vgg16": (14_715_584, 14_724_042),
    "vgg19": (20_024_000, 20_035_018),
}
LEAST = {"conv2": 2, "conv4": 4, "conv6": 8, "vgg16": 16, "vgg19": 16}


def images_for(spec, count=2):
    shape = (count, spec.channels, *spec.image_size)
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


def test_every_built_in_name_has_a_builder():
    assert tuple(BUILDERS) == (*BUILT_IN_MODELS, SUPERNET)


@pytest.mark.parametrize("name", BUILT_IN_MODELS)
def test_networks_have_the_published_number_of_weights(name, make_spec):
    spec = make_spec(name, channels=1, size=(28, 28)) if name == "lenet_300_100" else make_spec(name)
    model = build_model(spec, seed=0, device="meta")
    prunable = sum(weight.numel() for weight in prunable_parameters(model).values())
    assert (prunable, sum(parameter.numel() for parameter in model.parameters())) == SIZES[name]
    assert all(parameter.is_meta for parameter in [*model.parameters(), *model.buffers()])


@pytest.mark.parametrize("name", BUILT_IN_MODELS)
def test_networks_train_at_their_least_image_size(name, make_spec):
    side = LEAST.get(name, 8)
    spec = make_spec(name, channels=1, size=(side, side), classes=3)
    model = build_model(spec, seed=0).to(memory_format=torch.channels_last)
    logits = model(images_for(spec))
    logits.sum().backward()
    assert logits.shape == (2, 3)
    assert logits.isfinite().all()
    assert all(parameter.grad is not None for parameter in model.parameters())


@pytest.mark.parametrize("name", BUILT_IN_MODELS)
def test_parameters_live_under_network_and_the_last_layer_is_fc(name, make_spec):
    model = build_model(make_spec(name), seed=0, device="meta")
    assert all(key.startswith("network.") for key in model.state_dict())
    assert list(prunable_parameters(model))[-1] == "network.fc.weight"


@pytest.mark.parametrize("name", list(LEAST))
def test_too_small_images_are_refused_in_one_sentence(name, make_spec):
    least = LEAST[name]
    message = f"{name} needs images of at least {least}x{least} pixels, these are {least - 1}x32"
    with pytest.raises(ModelError, match=message):
        build_model(make_spec(name, size=(least - 1, 32)), seed=0)


@pytest.mark.parametrize("name", ["conv2", "resnet20", "vgg16"])
def test_images_need_not_be_square(name, make_spec):
    spec = make_spec(name, size=(24, 40))
    assert build_model(spec, seed=0)(images_for(spec)).shape == (2, 10)


@pytest.mark.parametrize("name", ["lenet_300_100", "resnet20", "resnet18", "torchvision:mobilenet_v3_small"])
def test_the_seed_alone_decides_the_weights(name, make_spec):
    spec = make_spec(name, size=(8, 8))
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = build_model(spec, seed=7).state_dict()
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    again = build_model(spec, seed=7).state_dict()
    other = build_model(spec, seed=8).state_dict()
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert any(not torch.equal(first[key], other[key]) for key in first)


def test_inputs_are_pixels_and_the_statistics_are_the_specification_s(make_spec):
    spec = make_spec(channels=1, size=(8, 8), mean=(0.25,), std=(0.5,))
    model = build_model(spec, seed=0).eval()
    images = images_for(spec)
    assert torch.equal(model(images), model.network((images - 0.25) / 0.5))
    assert not [key for key in model.state_dict() if "normalise" in key]


def test_cifar_resnets_start_as_the_sources_say(make_spec):
    network = build_model(make_spec("resnet20"), seed=0).network
    gains = torch.cat([m.weight.detach() for m in network.modules() if isinstance(m, nn.BatchNorm2d)])
    assert 0 <= float(gains.min()) < float(gains.max()) < 1
    assert abs(float(gains.mean()) - 0.5) < 0.05
    deviation = float(network.layer3[2].conv2.weight.detach().std())
    assert abs(deviation / (2 / (64 * 9)) ** 0.5 - 1) < 0.02
    assert not network.fc.bias.any()


def test_lenet_starts_with_gaussian_glorot_weights(make_spec):
    network = build_model(make_spec("lenet_300_100", channels=1, size=(28, 28)), seed=0).network
    weight = network.fc1.weight.detach()
    assert abs(float(weight.std()) / (2 / (784 + 300)) ** 0.5 - 1) < 0.02
    assert float(weight.abs().max()) > 3 * float(weight.std())  # not uniform
    assert not network.fc1.bias.any()


@pytest.mark.filterwarnings("ignore:Guards may run slower on Python 3.13.0")  # torch of that release
@pytest.mark.parametrize("name", ["lenet_300_100", "conv4", "resnet20", "resnet18", "vgg16"])
def test_networks_compile_to_one_graph(name, make_spec):
    spec = make_spec(name, channels=1, size=(16, 16))
    model = build_model(spec, seed=0).eval()
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    assert torch.equal(compiled(images_for(spec)), model(images_for(spec)))


@pytest.mark.parametrize(("side", "kernel"), [(64, (3, 3)), (65, (7, 7))])
def test_resnet18_has_a_small_stem_for_small_images(side, kernel, make_spec):
    network = build_model(make_spec("resnet18", size=(side, side)), seed=0, device="meta").network
    assert network.conv1.kernel_size == kernel
    assert isinstance(network.maxpool, nn.Identity) == (kernel == (3, 3))


def test_resnet18_on_large_grey_images_keeps_its_stem(make_spec):
    conv = build_model(make_spec("resnet18", channels=1, size=(96, 96)), seed=0, device="meta").network.conv1
    assert (conv.in_channels, conv.kernel_size, conv.stride) == (1, (7, 7), (2, 2))


def check_torchvision_networks(names, make_spec):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name in names:
            spec = make_spec(f"torchvision:{name}", channels=1, size=(224, 224), classes=7)
            model = build_model(spec, seed=0, device="meta")
            assert all(module.training for module in model.modules()), name
            assert sum(weight.numel() for weight in prunable_parameters(model).values()) > 300_000, name


def test_a_network_of_every_torchvision_family_is_built_for_other_images_and_classes(make_spec):
    families = {get_model_builder(name).__module__: name for name in torchvision_names()}
    assert len(families) > 12
    check_torchvision_networks(families.values(), make_spec)


@pytest.mark.slow
def test_every_torchvision_network_is_built_for_other_images_and_classes(make_spec):
    assert len(torchvision_names()) > 70
    check_torchvision_networks(torchvision_names(), make_spec)


@pytest.mark.parametrize("name", ["mobilenet_v3_small", "googlenet", "swin_t", "vit_b_32"])
def test_torchvision_networks_train(name, make_spec):
    spec = make_spec(f"torchvision:{name}", channels=2, size=(32, 32), classes=5)
    model = build_model(spec, seed=0)
    assert model(images_for(spec)).shape == (2, 5)


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("alexnet", (32, 32)),
        ("inception_v3", (32, 32)),
        ("vit_b_16", (30, 30)),
        ("vit_b_16", (32, 48)),
        ("maxvit_t", (32, 32)),
    ],
)
def test_torchvision_networks_that_do_not_fit_are_refused_in_one_sentence(name, size, make_spec):
    with pytest.raises(ModelError, match=rf"torchvision:{name} .*(images|pixels)") as caught:
        build_model(make_spec(f"torchvision:{name}", size=size), seed=0)
    assert "\n" not in str(caught.value)


def test_unknown_torchvision_networks_are_refused_with_close_matches(make_spec):
    with pytest.raises(ModelError, match=r"'resnet19'.*did you mean.*'resnet18'"):
        ensure_buildable("torchvision:resnet19")
    with pytest.raises(ModelError, match="no classification network 'fcn_resnet50'"):
        build_model(make_spec("torchvision:fcn_resnet50"), seed=0)


@pytest.mark.parametrize("name", ["resnet20", "torchvision:resnet18"])
def test_names_that_exist_are_buildable(name):
    assert ensure_buildable(name) is None


def test_names_of_no_known_form_are_not_buildable():
    with pytest.raises(ModelError, match="unknown model"):
        ensure_buildable("resnet")


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "lenet_300_100", "channels": 16, "size": (2048, 2048), "classes": 100_000},
        {"name": "conv2", "channels": 16, "size": (2048, 2048), "classes": 100_000},
        {"name": "resnet110", "channels": 16, "size": (2048, 2048), "classes": 100_000},
        {"name": "torchvision:vit_h_14", "size": (2044, 2044), "classes": 100_000},
        {"name": "torchvision:regnet_y_128gf", "size": (2048, 2048), "classes": 100_000},
    ],
)
def test_the_largest_specifications_cost_nothing_on_meta(changes, make_spec):
    start = time.monotonic()
    model = build_model(make_spec(**changes), seed=0, device="meta")
    assert time.monotonic() - start < 5
    assert all(value.is_meta for value in model.state_dict().values())
