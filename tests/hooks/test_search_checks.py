"""What is asked of networks and searches before the first node."""

from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import BaseModel

from lottery_pipeline.hooks import block_checks, preflight
from lottery_pipeline.hooks.requests import RunRefusedError
from lottery_pipeline.models.supernet.presets import PRESETS
from lottery_pipeline.options import METHODS, StartOptions
from lottery_pipeline.options.robustness import RobustnessOptions
from lottery_pipeline.parameters import (
    METHOD_GROUPS,
    DataParameters,
    ModelParameters,
    PretrainingParameters,
    RetrainingParameters,
)
from tests.images.builders import write_classes
from tests.kedro_project import redirected, refuse, run


def find_faults(wanted: set[str], parameters: dict[str, Any], project: Path) -> list[str]:
    """Return what is said of groups of parameters before anything runs."""
    general = list(preflight._impossible(wanted, parameters, project, None))
    if general:
        return general
    faults, unfit = block_checks._ask_blocks(wanted, (), parameters, project, None)
    return [*faults, *(block_checks.word_fault(name, reason) for name, reason in unfit.items())]


def test_a_method_without_a_density_passes_and_one_out_of_reach_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import_module("lottery_pipeline.methods")  # reads the table, which has no toy yet

    class Options(BaseModel):
        strength: float = 1.0

    def faults(options: BaseModel) -> list[str]:
        monkeypatch.setitem(METHODS, "toy", replace(METHODS["snip"], name="toy", options=type(options)))
        group = SimpleNamespace(extraction=options)
        parameters = {
            "model": ModelParameters(name="lenet_300_100"),
            "data": DataParameters(),
            "pretraining": PretrainingParameters(epochs=3, rewind_epoch=1),
            "retraining": RetrainingParameters(),
            "toy": group,
        }
        return find_faults({"model", "toy.extraction"}, parameters, Path())

    assert faults(Options()) == []
    (fault,) = faults(StartOptions(density=1e-9))
    assert fault.startswith("Parameter toy: density 1e-09 keeps none of")


@pytest.mark.parametrize(
    ("model", "data", "sentence"),
    [
        ("supernet:digits8", {}, None),
        ("supernet:hrnas", {}, "Parameter model: this supernet needs images of at least 32x32"),
        ("supernet:hrnas", {"source": "torchvision:CIFAR10", "root": "data"}, None),
        ("supernet:hrnas", {"source": "image_folder", "root": "photos"}, None),
        ("vgg16", {}, "Parameter model: vgg16 needs images of at least 16x16 pixels, these are 8x8"),
        ("supernet:canvas32", {"source": "canvases", "task": "segmentation"}, None),
        ("supernet:absent.json", {}, "Parameter model: the architecture {folder}/absent.json cannot be read"),
        (
            "supernet:hrnas",
            {"image_size": 8},
            "Parameter model: this supernet needs images of at least 32x32",
        ),
        (
            "resnet20",
            {"source": "canvases", "task": "keypoints"},
            "Parameter model: model 'resnet20' classifies images, but these are for keypoints; allowed are",
        ),
    ],
)
def test_a_supernet_must_be_there_and_fit_its_images(
    tmp_path: Path, model: str, data: dict[str, Any], sentence: str | None
) -> None:
    parameters = {"model": ModelParameters(name=model), "data": DataParameters(**data)}
    faults = find_faults({"model"}, parameters, tmp_path)
    assert len(faults) == (sentence is not None)
    assert all(fault.startswith((sentence or "").format(folder=tmp_path)) for fault in faults)


BIG = {"source": "torchvision:CIFAR10", "root": "data"}
WHOLE = PRESETS["digits8"].model_dump(mode="json")
SUPERNET = "supertickets.extraction.supernet"


def check_search(extraction: dict[str, Any], **groups: dict[str, Any]) -> list[str]:
    """Return what is said of a search on digits, or on the images of ``groups``, before anything runs."""
    recipe = {"epochs": 13, "rewind_epoch": 2, **groups.get("pretraining", {})}
    options = {"density": 0.1, "supernet": "digits8", **extraction}
    parameters = {
        "model": ModelParameters(**groups.get("model", {"name": "lenet_300_100"})),
        "data": DataParameters(**groups.get("data", {})),
        "pretraining": PretrainingParameters(**recipe),
        "retraining": RetrainingParameters(),
        "supertickets": METHOD_GROUPS["supertickets"](extraction=options),
    }
    return find_faults({"model", "supertickets.extraction"}, parameters, Path())


@pytest.mark.parametrize(
    ("extraction", "groups", "sentence"),
    [
        (
            {"supernet": "hrnas"},
            {},
            "supertickets: this supernet needs images of at least 32x32 pixels, these",
        ),
        (
            {"supernet": "hrnas"},
            {"data": {"image_size": 16}},
            "supertickets: this supernet needs images of at least 32x32 pixels, these are 16x16; raise",
        ),
        (
            {"supernet": WHOLE | {"attention": {"heads": 3}}},
            {},
            "supertickets: attention.heads is 3, which does",
        ),
        (
            {"pruning": {"every": 1.0}},
            {},
            "supertickets: pruned weights would never train again, because no search event comes between two",
        ),
        (
            {},
            {"pretraining": {"optimiser": "adam"}},
            "supertickets.extraction.search.rho is auto, which needs the optimiser sgd or nesterov, not adam",
        ),
        (
            {"search": {"mac_budget": 0.01}},
            {},
            "supertickets.extraction.search.mac_budget is 0.01, but what cannot be removed takes 0.",
        ),
        (
            {"ignore_layers": ["conv*"]},
            {},
            "supertickets: ignore_layers pattern 'conv*' matches no layer; layers",
        ),
        (
            {"ignore_layers": ["*"]},
            {},
            "supertickets: nothing is left to prune: no convolution or linear layer",
        ),
        ({"density": 1e-9}, {}, "supertickets: density 1e-09 keeps none of 5"),
        ({"density": 1e-9, "density_of": "model"}, {}, "supertickets: density 1e-09 keeps none of 50200"),
        (
            {"density": 0.5, "density_of": "model"},
            {"model": {"name": "resnet20"}},
            "supertickets: density 0.5 of resnet20 keeps 135",
        ),
        (
            {"supernet": None},
            {"model": {"name": "torchvision:resnet18"}},
            "supertickets: extraction.supernet is null, which takes the network of model.name, but",
        ),
        (
            {"supernet": None, "ignore_layers": ["network.head*"]},
            {"model": {"name": "supernet:digits8"}},
            "supertickets: extraction.ignore_layers is ['network.head*'], but model.ignore_layers is []",
        ),
        (
            {"epochs": 3},
            {"pretraining": {"schedule": "step", "milestones": (8,)}},
            "supertickets: extraction.epochs is 3, but milestone 8 is not before the end of the training",
        ),
        (
            {"supernet": {"stem_channels": 3}},
            {},
            f"{SUPERNET} lacks input_stride and stages: a configuration",
        ),
        ({"supernet": WHOLE | {"stem_chanels": 3}}, {}, f"{SUPERNET}.stem_chanels is unknown: allowed are"),
    ],
)
def test_a_search_for_a_superticket_that_cannot_work_is_refused_before_anything_is_trained(
    extraction: dict[str, Any], groups: dict[str, Any], sentence: str
) -> None:
    (fault,) = check_search(extraction, **groups)
    assert fault.startswith(f"Parameter {sentence}")
    assert "\n" not in fault
    assert fault.endswith((".", "did you mean stem_channels?"))


@pytest.mark.parametrize(
    ("extraction", "groups"),
    [
        ({}, {}),
        ({"density_of": "model"}, {}),
        ({"search": {"mac_budget": 0.5}}, {}),
        ({"search": {"rho": 0.01}}, {"pretraining": {"optimiser": "adam"}}),
        ({"supernet": "hrnas"}, {"data": BIG}),
        ({"supernet": "hrnas"}, {"data": {"source": "image_folder", "root": "photos"}}),
        (
            {"supernet": WHOLE | {"attention": {"heads": 7, "grid": 16}}},
            {"data": {"source": "image_folder", "root": "photos"}},
        ),
        ({"pruning": {"every": 1.0}}, {"pretraining": {"epochs": None, "iterations": 500}}),
        ({"pruning": None, "density": 1e-9}, {}),
        ({"density_of": "model"}, {"model": {"name": "torchvision:resnet18"}, "data": BIG}),
    ],
)
def test_a_search_that_can_work_or_of_which_too_little_is_known_is_not_refused(
    extraction: dict[str, Any], groups: dict[str, Any]
) -> None:
    assert check_search(extraction, **groups) == []


def test_a_minimum_of_each_layer_that_cannot_be_met_is_said_before_anything_is_trained(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert check_search({"pruning": {"min_keep_per_layer": 100_000}}) == []
    assert "min_keep_per_layer is 100000, which takes 5" in caplog.text
    assert "are kept, so some layers will have fewer" in caplog.text
    caplog.clear()
    assert check_search({"pruning": {"min_keep_per_layer": 2}}) == []
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("pruned", "its layer 1 is pruned by torch.nn.utils.prune; call "),
        (
            "two_answers",
            "cannot be trained: in training mode it returns a tuple that is not the logits alone",
        ),
    ],
)
def test_a_network_that_cannot_become_a_ticket_is_refused(name: str, sentence: str, tmp_path: Path) -> None:
    message = refuse(tmp_path, "ltr", model={"name": f"tests.user_networks:{name}"})
    assert message.startswith("Parameter model: ")
    assert sentence in message


def test_a_network_is_refused_before_the_size_of_its_images_is_known(tmp_path: Path) -> None:
    write_classes(tmp_path / "photos", {"cat": 4, "dog": 4})
    data = {"source": "image_folder", "root": str(tmp_path / "photos")}
    with redirected(tmp_path, tracking=True), pytest.raises(RunRefusedError, match="is pruned by torch"):
        run("ltr", data=data, model={"name": "tests.user_networks:pruned"})


def try_network(name: str, **recipe: Any) -> tuple[list[str], dict[str, str]]:
    """Return what is said of a network of the user's that is trained, searched and attacked."""
    parameters = {
        "model": ModelParameters(name=f"tests.user_networks:{name}"),
        "data": DataParameters(),
        "pretraining": PretrainingParameters(epochs=3, rewind_epoch=1, **recipe),
        "retraining": RetrainingParameters(),
        "magnitude": METHOD_GROUPS["magnitude"](extraction=StartOptions(density=0.5)),
        "robustness_evaluation": RobustnessOptions(),
    }
    return block_checks._ask_blocks({*parameters, "magnitude.extraction"}, (), parameters, Path(), None)


def test_a_network_whose_work_cannot_be_counted_is_found_before_it_is_trained() -> None:
    faults, unfit = try_network("elementwise")
    assert faults == []
    assert unfit.keys() == {"magnitude"}
    assert "multiply-accumulates of layer network.1 cannot be counted" in unfit["magnitude"]


@pytest.mark.parametrize(("name", "words"), [("detached", "cuts off"), ("without_gradient", "is not finite")])
def test_a_network_that_attacks_cannot_follow_is_found_before_it_is_trained(name: str, words: str) -> None:
    faults, unfit = try_network(name)
    assert faults == []
    assert unfit.keys() == {"robustness_evaluation"}
    reason = unfit["robustness_evaluation"]
    assert reason.startswith("attacks follow the gradient of the loss by the pixels")
    assert words in reason
    assert reason.endswith("; set robustness_evaluation.adversarial to null to measure the rest")
    (fault,), _ = try_network(name, adversary={"kind": "pgd", "eps": "8/255"})
    assert fault.startswith("Parameter pretraining.adversary: attacks follow the gradient of the loss by")


def test_a_network_without_slope_is_measured_and_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    assert try_network("rounded") == ([], {})
    assert (
        caplog.text.count("attacks that follow it find nothing, so robust accuracies will be too high") == 1
    )


def test_the_size_of_a_folder_of_images_is_found_before_they_are_read(tmp_path: Path) -> None:
    write_classes(tmp_path / "photos", {"cat": 20, "dog": 20})
    data = {"source": "image_folder", "root": str(tmp_path / "photos")}
    message = refuse(tmp_path / "out", "snip", data=data, model={"name": "tests.user_networks:elementwise"})
    assert message.startswith("Parameter snip: the multiply-accumulates of layer network.1 cannot be counted")
    message = refuse(tmp_path / "out", "snip", data=data, model={"name": "vgg16"})
    assert message.startswith("Parameter model: vgg16 needs images of at least 16x16 pixels, these are 8x8;")


def test_a_network_that_does_not_take_a_single_image_is_not_attacked() -> None:
    faults, unfit = try_network("flat_batch_statistics")
    assert faults == []
    assert unfit["robustness_evaluation"].startswith(
        "cannot attack this network (ValueError: Expected more than 1"
    )
