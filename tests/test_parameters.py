"""Parameters: what is refused, and in which words."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from lottery_pipeline.options import COMPOSITIONS, MASK_OPTIONS
from lottery_pipeline.parameters import (
    ModelParameters,
    ParametersError,
    PretrainingParameters,
    RetrainingParameters,
    SparseRetrainingParameters,
    check_parameters,
    to_plain,
)
from lottery_pipeline.training.recipe import Recipe

SOUND: dict[str, Any] = {
    "seed": 0,
    "device": "cpu",
    "threads": None,
    "data": {"source": "digits"},
    "model": {"name": "lenet_300_100"},
    "pretraining": {"epochs": 10, "rewind_epoch": 2},
    "retraining": {},
    "sparse_retraining": {},
    "sanity_checks": {},
    "supertickets_study": {},
    "sweep_report": {},
    "supertickets_transfer": {},
    "costs": {},
    "work": {
        "experiment": "e",
        "variant": "v",
        "images": "i",
        "models": "m",
        "checkpoints": "c",
    },
    "tracking": {},
    "signature_embedding": {"owner": "somebody"},
    "ownership_verification": {},
    "ownership_attacks": {},
    "robustness_evaluation": {},
    **{method: {"extraction": {"density": 0.5}} for method in (*MASK_OPTIONS, *COMPOSITIONS)},
    "layer": {"extraction": {"removed": 1}},
    "filter": {"extraction": {}},
}


def changed(path: str, value: Any) -> dict[str, Any]:
    parameters: dict[str, Any] = deepcopy(SOUND)
    group = parameters
    *parents, key = path.split(".")
    for parent in parents:
        group = group.setdefault(parent, {})
    group[key] = value
    return parameters


def test_a_faulty_entry_of_a_list_is_one_fault_and_an_empty_list_another() -> None:
    for value, start in ((["foo"], "criterion.0 is 'foo'"), ([], "criterion is []")):
        with pytest.raises(ParametersError) as refusal:
            check_parameters(changed("layer.extraction.criterion", value))
        assert str(refusal.value).startswith(f"Parameter layer.extraction.{start}")
        assert "\n" not in str(refusal.value)


def test_sound_parameters_come_back_typed() -> None:
    checked = check_parameters(SOUND)
    assert checked["ltr"].extraction.density == 0.5
    assert checked["pretraining"].rewind_epoch == 2


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        (
            "ltr.extraction.density",
            0,
            "Parameter ltr.extraction.density is 0: it must be a number greater than 0 and at most 1, or",
        ),
        (
            "ltr.extraction.density",
            1.5,
            "Parameter ltr.extraction.density is 1.5: it must be a number greater than 0 and at most 1",
        ),
        (
            "ltr.extraction.density",
            "abc",
            "Parameter ltr.extraction.density is 'abc': it must be a number ",
        ),
        ("ltr.extraction.densty", 0.5, "Parameter ltr.extraction.densty is unknown: allowed are density, "),
        (
            "ltr.extration",
            {},
            "Parameter ltr.extration is unknown: allowed are controls, extraction; did you mean",
        ),
        (
            "pretrainning.epochs",
            3,
            "Parameter pretrainning is unknown: allowed are costs, credential, cts, data, ",
        ),
        ("pretraining.epocs", 3, "; did you mean epochs?"),
        ("model.name", "resnet21", "Parameter model.name: unknown model 'resnet21' (did you mean"),
        ("data.source", "digit", "Parameter data.source: unknown image source 'digit'; allowed: digits, "),
        ("pretraining.rewind_epoch", 10, "rewind_epoch is 10, but training ends after 10 epochs"),
        ("pretraining.iterations", 5, "give exactly one of `epochs` and `iterations`"),
        ("retraining.epochs", 2, "rewind_epoch is 2, but retraining ends after 2 epochs"),
        ("sparse_retraining.learning_rate", -1, "Parameter sparse_retraining.learning_rate is -1"),
        (
            "tracking.registr",
            "x",
            "Parameter tracking.registr is unknown: allowed are register; did you mean",
        ),
        (
            "tracking.register",
            "a/b",
            "Parameter tracking.register: 'a/b' is not a valid name of a registered",
        ),
        ("work.limit", 0, "Parameter work.limit is 0: it must be a whole number of at least 1."),
        (
            "seed",
            "abc",
            "Parameter seed is 'abc': it must be a whole number of at least 0 and less than 2^63.",
        ),
        ("threads", 0, "Parameter threads is 0: it must be a whole number from 1 to 1,024 or null."),
        ("seed", -1, "Parameter seed is -1: it must be a whole number of at least 0 and less than 2^63."),
        (
            "device",
            "gpu",
            "Parameter device: 'gpu' is not a valid device; allowed are auto, cpu, cuda, cuda:<index>",
        ),
        ("variant", "../other", "Parameter variant: '../other' cannot be the name of a folder here"),
        ("variant", "", "Parameter variant: '' cannot be"),
        ("ticket", "none", "Parameter ticket is 'none': it must be lth, ltr, "),
    ],
)
def test_a_fault_is_one_sentence_that_names_parameter_value_and_what_is_allowed(
    path: str, value: Any, sentence: str
) -> None:
    with pytest.raises(ParametersError) as caught:
        check_parameters(changed(path, value))
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_every_fault_is_told_at_once() -> None:
    parameters = changed("seed", "abc")
    parameters["lth"]["extraction"]["density"] = 7
    with pytest.raises(ParametersError, match=r"lth\.extraction\.density(.|\n)*seed"):
        check_parameters(parameters)


def test_a_missing_group_is_named() -> None:
    parameters = {name: group for name, group in SOUND.items() if name != "ltr"}
    with pytest.raises(ParametersError, match="Parameter ltr is missing"):
        check_parameters(parameters)


def test_retraining_changes_only_what_it_names() -> None:
    pretraining = PretrainingParameters(epochs=10, rewind_epoch=2, learning_rate=0.3, flip=True)
    recipe = RetrainingParameters(learning_rate=0.1).recipe(pretraining)
    assert recipe == Recipe(epochs=10, learning_rate=0.1, flip=True)


def test_retraining_without_changes_is_the_dense_recipe() -> None:
    pretraining = PretrainingParameters(name="olth", rewind_epoch=5)
    assert RetrainingParameters().recipe(pretraining) == pretraining.recipe()
    assert type(pretraining.recipe()) is Recipe


def test_iterations_take_the_place_of_epochs() -> None:
    pretraining = PretrainingParameters(epochs=10, rewind_epoch=2)
    recipe = RetrainingParameters(iterations=500).recipe(pretraining)
    assert (recipe.epochs, recipe.iterations) == (None, 500)


def test_a_named_recipe_starts_afresh() -> None:
    pretraining = PretrainingParameters(epochs=10, rewind_epoch=2, learning_rate=0.3)
    recipe = SparseRetrainingParameters(name="olth", rung=3).recipe(pretraining)
    assert recipe == Recipe(name="olth")


def test_changes_have_every_key_of_a_recipe() -> None:
    assert set(RetrainingParameters.model_fields) == set(Recipe.model_fields)


def test_plain_parameters_leave_out_changes_that_are_not_made() -> None:
    plain = to_plain({"retraining": RetrainingParameters(epochs=3), "lth": {"x": 1}, "seed": 0})
    assert plain == {"retraining": {"epochs": 3}, "lth": {"x": 1}, "seed": 0}


def test_weights_start_at_the_project_folder_and_statistics_are_for_every_channel(tmp_path: Path) -> None:
    assert ModelParameters(name="resnet20").find_statistics(3) is None
    one = ModelParameters(name="resnet20", weights="w.pt", mean=0.5, std=0.25)
    assert one.resolve(tmp_path).weights == str(tmp_path / "w.pt")
    assert one.find_statistics(3) == ((0.5,) * 3, (0.25,) * 3)
    three = ModelParameters(name="resnet20", mean="0.1 0.2 0.3", std="[0.4,0.5,0.6]")
    assert three.find_statistics(3) == ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    named = ModelParameters(name="torchvision:resnet18", weights="DEFAULT")
    assert named.resolve(tmp_path).weights == "DEFAULT"
    assert named.find_statistics(1) is None
    assert named.find_statistics(3) == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    for fault in (
        {"mean": 0.5},
        {"mean": 0.5, "std": "0.1 0.2"},
        {"mean": 2, "std": 1},
        {"mean": 0.5, "std": 0},
    ):
        with pytest.raises(ValidationError):
            ModelParameters(name="resnet20", **fault)


def test_a_found_architecture_starts_at_the_project_folder(tmp_path: Path) -> None:
    found = ModelParameters(name="supernet:data/found.json", ignore_layers=("fc",))
    assert found.resolve(tmp_path) == ModelParameters(
        name=f"supernet:{tmp_path}/data/found.json", ignore_layers=("fc",)
    )
    assert ModelParameters(name="resnet20").resolve(tmp_path).name == "resnet20"
    with pytest.raises(ValidationError, match="does not say which supernet; allowed are supernet:digits8"):
        ModelParameters(name="supernet")
