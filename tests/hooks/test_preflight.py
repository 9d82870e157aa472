"""Before the first node: a run that cannot end well is refused in one sentence, and nothing is written."""

from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from kedro.io import Version
from PIL import Image
from pydantic import BaseModel

from lottery_pipeline.datasets.left_out import LeftOut
from lottery_pipeline.datasets.records import TableDataset
from lottery_pipeline.datasets.tickets import TicketDataset
from lottery_pipeline.hooks import block_checks, preflight
from lottery_pipeline.hooks.requests import RunRefusedError
from lottery_pipeline.models.supernet.presets import PRESETS
from lottery_pipeline.options import METHOD_OPTIONS, METHODS, StartOptions
from lottery_pipeline.parameters import (
    METHOD_GROUPS,
    DataParameters,
    ModelParameters,
    PretrainingParameters,
    RetrainingParameters,
)
from tests.kedro_project import command, load_catalog, redirected, run


def make_folder(folder: Path, *classes: str) -> Path:
    for name in classes:
        (folder / name).mkdir(parents=True)
        for number in range(4):
            Image.new("RGB", (8, 8), (number, 0, 0)).save(folder / name / f"{number}.png")
    return folder


def find_faults(wanted: set[str], parameters: dict[str, Any], project: Path) -> list[str]:
    """Return what is said of groups of parameters before anything runs."""
    general = list(preflight._impossible(wanted, parameters, project))
    if general:
        return general
    faults, unfit = block_checks._ask_methods(wanted, (), parameters, project)
    return [*faults, *(block_checks.word_fault(name, reason) for name, reason in unfit.items())]


def refuse(tmp_path: Path, *pipelines: str, **params: Any) -> str:
    with redirected(tmp_path, tracking=True), pytest.raises(RunRefusedError) as caught:
        run(*pipelines, **params)
    assert not list(tmp_path.glob("data/**/*.*")), "a node has run"
    assert not (tmp_path / "mlflow.db").exists(), "a run was tracked"
    return str(caught.value)


@pytest.mark.parametrize("variant", [0.1, 7, None, True])
def test_a_variant_that_may_not_be_what_was_written_is_refused(tmp_path: Path, variant: Any) -> None:
    sentence = refuse(tmp_path, "snip", variant=variant)
    assert sentence.startswith(f"Parameter variant is {variant!r}, which is not text")
    assert not (tmp_path / "data").exists()


def test_a_version_that_is_not_there_is_refused_with_those_that_are(tmp_path: Path) -> None:
    folder = tmp_path / "data[1]" / "ticket.safetensors"
    for version in ("2026-01-02", "2026-01-01"):
        (folder / version).mkdir(parents=True)
        (folder / version / folder.name).touch()
    catalog: Any = {
        "snip.ticket": TicketDataset(filepath=str(folder), version=Version(None, None)),
        "leaderboard": TableDataset(filepath=str(tmp_path / "leaderboard.csv")),
    }
    asked = {"snip.ticket": "2025-01-01", "leaderboard": "x"}
    found = f"those in {folder} are 2026-01-01, 2026-01-02."
    assert list(preflight._missing_versions(asked, catalog)) == [
        f"--load-versions asks for version 2025-01-01 of snip.ticket, which is not there; {found}",
        "--load-versions asks for version x of leaderboard, which has no versions.",
    ]
    assert list(preflight._missing_versions({"snip.ticket": "2026-01-01"}, catalog)) == []


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        (
            "ltr.extraction.density",
            0,
            "Parameter ltr.extraction.density is 0: it must be a number greater than 0 and at most 1",
        ),
        (
            "ltr.extraction.density",
            1.5,
            "Parameter ltr.extraction.density is 1.5: it must be a number greater than 0",
        ),
        (
            "ltr.extraction.density",
            "abc",
            "Parameter ltr.extraction.density is 'abc': it must be a number",
        ),
        ("ltr.extraction.density", 1e-9, "Parameter ltr: density 1e-09 keeps none of"),
        ("ltr.extraction.colour", 1, "Parameter ltr.extraction.colour is unknown: allowed are density,"),
        ("cts.extraction.density", 1e-9, "Parameter cts: density 1e-09 keeps none of"),
        (
            "cts.extraction.density",
            0,
            "Parameter cts.extraction.density is 0: it must be a number greater than 0 and at most 1",
        ),
        (
            "cts.extraction.length",
            0,
            "Parameter cts.extraction.length is 0: it must be short, half or long, or a whole number from 1",
        ),
        (
            "cts.extraction.length",
            "all",
            "Parameter cts.extraction.length is 'all': it must be short, half or long, or a whole",
        ),
        (
            "cts.extraction.objective",
            "accuracy",
            "Parameter cts.extraction.objective is 'accuracy': it must be task_loss, ",
        ),
        (
            "snip.extraction.rounds",
            0,
            "Parameter snip.extraction.rounds is 0: it must be a whole number from 1",
        ),
        (
            "sanity_checks.methods",
            ["gut"],
            "Parameter sanity_checks.methods: 'gut' is not a method that can be checked; allowed are",
        ),
        ("ltr.controls.rungs", [9], "Parameter ltr: controls.rungs has 9, but this search has rungs 0 to 2"),
        ("model.name", "resnet21", "Parameter model.name: unknown model 'resnet21'"),
        ("model.name", "torchvision:resnet19", "Parameter model: torchvision has no classification network"),
        (
            "model.name",
            "no_such_module:make",
            "Parameter model: model 'no_such_module:make': there is no module",
        ),
        ("model.ignore_layers", ["conv*"], "Parameter model: ignore_layers pattern 'conv*' matches no layer"),
        (
            "pretraining.rewind_epoch",
            3,
            "Parameter pretraining: rewind_epoch is 3, but training ends after 3",
        ),
        ("layer.extraction.removed", 1, "no residual block with an identity shortcut"),
        ("costs.country", "XYZ", "'XYZ' is not a country with a known carbon intensity; known are BRA"),
        ("costs.power_watts", 50.0, "power_watts needs country or carbon_intensity"),
        ("device", "cuda:99", "Parameter device: device 'cuda:99' is not on this machine"),
        ("pretrainning.epochs", 3, "Parameter pretrainning is unknown"),
    ],
)
def test_a_bad_request_is_refused(path: str, value: Any, sentence: str, tmp_path: Path) -> None:
    params: Any = value
    for key in reversed(path.split(".")):
        params = {key: params}
    group = path.split(".")[0]
    message = refuse(tmp_path, group if group in METHOD_OPTIONS else "ltr", **params)
    assert message.startswith("Parameter ")
    assert sentence in message
    assert "\n" not in message


SEGMENTATION = {
    "data": {"source": "canvases", "task": "segmentation"},
    "model": {"name": "supernet:canvas32"},
}


def test_a_method_that_needs_classes_refuses_masks_and_names_those_that_do_not(tmp_path: Path) -> None:
    message = refuse(tmp_path, "cts", **SEGMENTATION)
    assert message == (
        "Parameter cts: needs images with classes, but data.task is segmentation, which lth, ltr, synflow, "
        "magnitude, random, supertickets can do."
    )


@pytest.mark.parametrize("pipeline", ["sanity_checks", "signature_embedding", "ownership_attacks"])
def test_what_else_needs_classes_refuses_masks(pipeline: str, tmp_path: Path) -> None:
    sentence = f"Parameter {pipeline}: needs images with classes, but data.task is segmentation; choose"
    assert sentence in refuse(tmp_path, pipeline, **SEGMENTATION)


def test_too_many_blocks_are_refused_with_the_most_that_can_go(tmp_path: Path) -> None:
    message = refuse(tmp_path, "layer", model={"name": "resnet56"}, layer={"extraction": {"removed": 22}})
    assert "removed is 22, but the network can lose at most 21 of its 24 candidate blocks" in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("group", "params", "sentence"),
    [
        ("layer", {"filter": {"extraction": {"scope": "all"}}}, 'filter: this needs the extra "compact"'),
        (
            "cts",
            {"costs": {"tracker": "codecarbon", "country": "FRA"}},
            'costs.tracker: this needs the extra "carbon"',
        ),
    ],
)
def test_an_extra_that_is_missing_is_named_before_the_first_node(
    group: str, params: dict[str, Any], sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lottery_pipeline.options.extras.find_spec", lambda _: None)
    assert refuse(tmp_path, group, **params).startswith(f"Parameter {sentence}")


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    data = {"source": "image_folder", "root": str(tmp_path / "none")}
    assert refuse(tmp_path, "data_preparation", data=data) == (
        f"Parameter data: the image folder {tmp_path / 'none'} does not exist."
    )


def test_one_class_only_is_refused(tmp_path: Path) -> None:
    root = make_folder(tmp_path / "images", "cat")
    message = refuse(tmp_path / "out", "data_preparation", data={"source": "image_folder", "root": str(root)})
    assert "has one class only, 'cat'" in message


def test_what_is_missing_is_named_with_the_command_that_makes_it(tmp_path: Path) -> None:
    message = refuse(tmp_path, "reporting", variant="v2")
    assert message.startswith("Needed: data_overview, dense_record; ")
    assert "`kedro run --env test --params variant=v2 --pipelines dense_pretraining` makes them." in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("stored", "ending", "changed"),
    [
        ({"test_accuracy": 0.5}, "", '{"test_accuracy": 0.75}'),
        (LeftOut("ltr", "no time"), ".left_out", '{"block": "ltr", "reason": "too bad", "node": ""}'),
    ],
    ids=["a record", "a note"],
)
def test_what_was_edited_is_refused_before_the_first_node(
    stored: Any, ending: str, changed: str, tmp_path: Path
) -> None:
    with redirected(tmp_path):
        load_catalog().save("data_overview", {"test_accuracy": 0.5})
        load_catalog().save("dense_record", stored)
        path = Path(f"{load_catalog().get('dense_record').path}{ending}")
        path.write_text(changed)
        with pytest.raises(RunRefusedError) as caught:
            run("reporting")
    assert str(caught.value).startswith(f"{path} was changed after it was written; put the old file back")
    assert not list(tmp_path.glob("data/08_reporting/**/*.*"))


def test_a_missing_ticket_is_made_by_its_method(tmp_path: Path) -> None:
    message = refuse(tmp_path, "sparse_retraining", ticket="lth")
    assert "lth/ticket.safetensors" in message or "more files" in message
    assert "`kedro run --env test --pipelines lth` makes them." in message


def test_an_experiment_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with redirected(tmp_path), pytest.raises(RunRefusedError, match="There is no experiment 'nowhere'"):
        run("data_preparation", env="nowhere")


def test_a_relative_root_starts_at_the_project(tmp_path: Path) -> None:
    data = DataParameters(source="image_folder", root="images")
    assert data.resolve(tmp_path).root == str(tmp_path / "images")
    elsewhere = DataParameters(source="image_folder", root="/data/images")
    assert elsewhere.resolve(tmp_path) == elsewhere
    assert DataParameters().resolve(tmp_path).root is None


def test_the_command_line_shows_one_sentence_and_no_traceback(tmp_path: Path) -> None:
    params = "ltr.extraction.density=1.5"
    done = command(tmp_path, "run", "--env", "test", "--pipelines", "ltr", "--params", params)
    sentence = (
        "Parameter ltr.extraction.density is 1.5: it must be a number greater than 0 and at most 1, or null."
    )
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"Error: {sentence}\n")


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


@pytest.mark.parametrize(
    ("pipeline", "params", "sentence"),
    [
        (
            "supertickets_transfer",
            {},
            "tasks has segmentation, but data.source digits has labels for classification only; canvases has",
        ),
        (
            "supertickets_transfer",
            {"data": {"source": "canvases"}, "pretraining": {"flip": True}},
            "tasks has keypoints, which the recipe's flip does not fit; switch it off.",
        ),
        (
            "supertickets_transfer",
            {"data": {"source": "canvases"}, "retraining": {"label_smoothing": 0.1}},
            "tasks has keypoints, which the recipe's label_smoothing does not fit; switch it off.",
        ),
        (
            "supertickets_transfer",
            {"data": {"source": "canvases"}, "supertickets": {"extraction": {"density_of": "model"}}},
            "supertickets.extraction.density_of must be supernet, because the network of model.name differs",
        ),
        (
            "supertickets_study",
            {"supertickets": {"extraction": {"pruning": None}}},
            "the arms of the study differ in search and pruning, but supertickets.extraction.pruning is null",
        ),
        (
            "supertickets_study",
            {"supertickets": {"extraction": {"pruning": {"every": 1.0}}}},
            "pruned weights would never train again, because no search event",
        ),
    ],
)
def test_a_study_of_supertickets_that_cannot_work_is_refused(
    pipeline: str, params: dict[str, Any], sentence: str, tmp_path: Path
) -> None:
    message = refuse(tmp_path, pipeline, **params)
    assert message.startswith(f"Parameter {pipeline}: {sentence}")
    assert "\n" not in message


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
    data = {"source": "image_folder", "root": str(make_folder(tmp_path / "photos", "cat", "dog"))}
    with redirected(tmp_path, tracking=True), pytest.raises(RunRefusedError, match="is pruned by torch"):
        run("ltr", data=data, model={"name": "tests.user_networks:pruned"})
