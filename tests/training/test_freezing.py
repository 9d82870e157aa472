"""Frozen modules: nothing in them changes, and everything else trains as it should."""

import pytest
import torch
from torch.nn.functional import cross_entropy

from lottery_pipeline.training.freezing import frozen, set_training_
from lottery_pipeline.training.loop import train
from lottery_pipeline.training.recipe import Recipe, RecipeError
from tests.supernets import ask, start_events
from tests.tiny import draw_images
from tests.training.tiny import TinyNet, tiny_images

RECIPE = Recipe(learning_rate=0.1, momentum=0.9, weight_decay=0.01, epochs=2, batch_size=8)
FROZEN = ("conv", "norm")


def run(model, images, **options):
    return train(model, images, RECIPE, seed=0, device="cpu", **options)


@pytest.fixture(scope="module")
def images():
    return tiny_images()


def test_weights_and_statistics_of_frozen_modules_stay_and_those_of_others_do_not(images):
    model = TinyNet()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    after = run(model, images, frozen_modules=FROZEN).state
    changed = {name for name, tensor in after.items() if not torch.equal(tensor, before[name])}
    assert changed == {"fc.weight", "fc.bias"}
    assert {"conv.weight", "norm.weight", "norm.running_mean"} <= {
        name for name, tensor in run(TinyNet(), images).state.items() if not torch.equal(tensor, before[name])
    }


def test_a_step_is_that_of_the_rest_on_features_of_evaluation_mode(images):
    model = TinyNet(dropout=0.0).eval()
    model.norm.running_mean.fill_(0.1)  # unlike the mean of the batch, which training mode would take
    loss = cross_entropy(model(images.train.images / 255), images.train.labels)
    (gradient,) = torch.autograd.grad(loss, [model.fc.weight])
    expected = (model.fc.weight - 0.1 * gradient).detach()
    one_step = Recipe(learning_rate=0.1, momentum=0.0, iterations=1, batch_size=len(images.train))
    train(model, images, one_step, seed=0, device="cpu", frozen_modules=FROZEN)
    torch.testing.assert_close(model.fc.weight, expected)


def test_flags_and_modes_are_as_they_were_afterwards(images):
    model = TinyNet()
    model.conv.weight.requires_grad = False
    model.eval()
    run(model, images, frozen_modules=("norm", "conv"))
    flags = {name: parameter.requires_grad for name, parameter in model.named_parameters()}
    assert flags == {name: name != "conv.weight" for name in flags}
    assert not any(module.training for module in model.modules())


def test_flags_are_restored_after_an_error():
    def stop(model):
        with frozen(model, FROZEN):
            assert not model.norm.weight.requires_grad
            raise KeyboardInterrupt

    model = TinyNet()
    with pytest.raises(KeyboardInterrupt):
        stop(model)
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_frozen_modules_are_in_evaluation_mode_and_the_others_in_training_mode():
    model = TinyNet().eval()
    set_training_(model, FROZEN)
    modes = {name: module.training for name, module in model.named_children()}
    assert modes == {"conv": False, "norm": False, "dropout": True, "fc": True}
    assert model.training


def test_a_frozen_training_is_another_training(images):
    prints = [
        run(TinyNet(), images, frozen_modules=modules).fingerprint for modules in ((), ("conv",), FROZEN)
    ]
    assert len(set(prints)) == 3
    assert run(TinyNet(), images, frozen_modules=FROZEN[::-1]).fingerprint == prints[2]


def test_a_module_that_is_not_there_and_a_search_are_refused(images):
    with pytest.raises(AttributeError, match="nothing"):
        run(TinyNet(), images, frozen_modules=("nothing",))
    own = draw_images()
    events = start_events(own, ask())
    with pytest.raises(RecipeError, match="a search trains the whole network"):
        train(
            events.model, own, RECIPE, seed=0, device="cpu", events=events, frozen_modules=("network.stem",)
        )
