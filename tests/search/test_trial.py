"""Trials: what a method does with a network, before anything is trained."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lottery_pipeline.methods import CHECKS
from lottery_pipeline.models.spec import ModelSpec
from lottery_pipeline.options import METHOD_OPTIONS
from lottery_pipeline.options.filter import FilterOptions
from lottery_pipeline.options.layer import LayerOptions
from lottery_pipeline.search.outlook import Outlook
from lottery_pipeline.search.trial import Trial, UnfitError
from lottery_pipeline.training.recipe import Recipe

TRIED = ("cts", "snip", "grasp", "synflow", "edge_popup", "gem_miner", "prospr")


class Once(nn.Module):
    """A network of the user's whose function can be differentiated once."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.a, self.fc = nn.Linear(64, 8), nn.Linear(8, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        return self.fc(nn.functional.hardsigmoid(self.a(images.flatten(1))))


class OnlyFloat32(Once):
    """A network that makes a tensor of its own, which float64 weights do not fit."""

    def forward(self, images: Tensor) -> Tensor:
        return self.fc((self.a(images.flatten(1)) @ torch.eye(8, dtype=torch.float32)).relu())


class Plain(Once):
    """A network that every method can work with."""

    def forward(self, images: Tensor) -> Tensor:
        return self.fc(self.a(images.flatten(1)).relu())


def look_at(name: str) -> Outlook:
    spec = ModelSpec(name=name, num_classes=3, channels=1, image_size=(8, 8), mean=(0.5,), std=(0.25,))
    return Outlook(spec, False, True, "classification", Recipe(epochs=1))


def ask(method: str, outlook: Outlook, **options: Any) -> None:
    CHECKS[method](outlook, METHOD_OPTIONS[method].model_validate({"density": 0.5, **options}))


def refusals(outlook: Outlook) -> dict[str, str]:
    found = {}
    for method in TRIED:
        try:
            ask(method, outlook)
        except UnfitError as error:
            found[method] = str(error)
    return found


def test_every_method_can_work_with_a_plain_network() -> None:
    assert refusals(look_at(f"{__name__}:Plain")) == {}


def test_a_function_without_a_second_derivative_is_found_out() -> None:
    found = refusals(look_at(f"{__name__}:Once"))
    assert found.keys() == {"grasp", "prospr"}
    assert found["grasp"].startswith("this network cannot be differentiated as often as the method requires")
    outlook = look_at(f"{__name__}:Once")
    with pytest.raises(UnfitError, match="differentiated"):
        ask("cts", outlook, objective="gradient_norm")
    ask("prospr", outlook, first_order=True)


def test_a_network_that_knows_only_float32_is_found_out_for_synflow() -> None:
    (reason,) = refusals(look_at(f"{__name__}:OnlyFloat32")).values()
    assert reason.startswith("cannot search this network (RuntimeError: expected")


def mark_as_tried(outlook: Outlook) -> None:
    """Give the one thing that was tried another outcome."""
    assert outlook.trial is not None
    (tried,) = outlook.trial.refusals
    outlook.trial.refusals[tried] = "it was tried"


def test_what_was_tried_is_not_tried_again_but_with_other_options() -> None:
    outlook = look_at(f"{__name__}:Plain")
    ask("grasp", outlook)
    mark_as_tried(outlook)
    with pytest.raises(UnfitError, match="it was tried"):
        ask("grasp", outlook)
    ask("grasp", outlook, batch_statistics=False)


def test_a_trial_leaves_the_network_as_it_is() -> None:
    trial = look_at("resnet20").trial
    assert trial is not None
    before = {name: tensor.clone() for name, tensor in trial.model.state_dict().items()}
    state = torch.get_rng_state()
    outlook = look_at("resnet20")
    assert refusals(outlook) == {}
    assert outlook.trial is not None
    after = outlook.trial.model.state_dict()
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())
    assert torch.equal(torch.get_rng_state(), state)
    assert all(parameter.grad is None for parameter in outlook.trial.model.parameters())


def test_layer_and_filter_look_at_any_network() -> None:
    outlook = look_at("torchvision:squeezenet1_1").trial
    assert outlook is None, "8x8 pixels are too few for this network"
    plain = look_at(f"{__name__}:Plain")
    with pytest.raises(UnfitError, match="no residual block with an identity shortcut"):
        CHECKS["layer"](plain, LayerOptions(removed=1))
    with pytest.raises(UnfitError, match="finds no filters"):
        CHECKS["filter"](plain, FilterOptions(mac_budget=0.5))
    CHECKS["filter"](plain, FilterOptions())


def test_every_criterion_of_a_layer_ticket_is_tried() -> None:
    def ask(network: str, *criteria: str) -> None:
        options = {"criterion": criteria, "removed": 1, "min_blocks_per_stage": 1}
        CHECKS["layer"](look_at(f"tests.user_networks:{network}"), LayerOptions.model_validate(options))

    ask("gate_behind_head", "snip", "grasp", "grasp_text", "kl", "cka", "expectabs", "hrank", "random")
    ask("convolution_head", "kl", "hrank", "snip")
    with pytest.raises(UnfitError, match="do not come from a linear layer with one output per class"):
        ask("convolution_head", "kl", "cka")
    with pytest.raises(UnfitError, match="has no batch norm with gamma and beta to silence; choose snip"):
        ask("group_norm_resnet", "kl")
    ask("group_norm_resnet", "expectabs")


@pytest.mark.parametrize(("method", "options"), [("layer", {"removed": 1}), ("filter", {"mac_budget": 0.5})])
def test_layer_and_filter_try_their_criterion(method: str, options: dict[str, Any]) -> None:
    outlook = look_at("resnet20")
    ask("grasp", outlook)
    mark_as_tried(outlook)
    with pytest.raises(UnfitError, match="it was tried"):
        CHECKS[method](outlook, METHOD_OPTIONS[method].model_validate(options | {"criterion": "grasp"}))


def test_work_that_cannot_be_counted_is_found_out() -> None:
    trial = look_at("tests.user_networks:elementwise").trial
    assert trial is not None
    with pytest.raises(UnfitError, match=r"multiply-accumulates of layer network\.1 cannot be counted"):
        trial.try_counting()


def test_images_of_unknown_size_refuse_nothing() -> None:
    assert Trial.prepare(look_at("torchvision:vit_b_16").spec) is None
