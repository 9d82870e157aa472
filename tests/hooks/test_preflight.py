"""Before the first node: a run that cannot end well is refused in one sentence, and nothing is written."""

from pathlib import Path
from typing import Any

import pytest
from kedro.io import Version

from lottery_pipeline.datasets.left_out import LeftOut
from lottery_pipeline.datasets.records import TableDataset
from lottery_pipeline.datasets.tickets import TicketDataset
from lottery_pipeline.hooks import preflight
from lottery_pipeline.hooks.requests import RunRefusedError
from lottery_pipeline.options import METHOD_OPTIONS
from lottery_pipeline.parameters import DataParameters
from tests.images.builders import write_classes
from tests.kedro_project import command, load_catalog, redirected, refuse, run


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
    write_classes(tmp_path / "images", {"cat": 4})
    data = {"source": "image_folder", "root": str(tmp_path / "images")}
    message = refuse(tmp_path / "out", "data_preparation", data=data)
    assert "has one class only, 'cat'" in message


def test_what_is_missing_is_named_with_the_command_that_makes_it(tmp_path: Path) -> None:
    message = refuse(tmp_path, "reporting", variant="v2")
    assert message.startswith("Needed: data_overview, dense_record; ")
    assert "`kedro run --env test --params variant=v2 --pipelines dense_pretraining` makes them." in message
    assert "\n" not in message


def test_a_report_of_a_sweep_without_a_plan_names_the_file_and_the_command(tmp_path: Path) -> None:
    message = refuse(tmp_path, "sweep_report", variant="methods")
    plan = tmp_path / "data/07_model_output/test/methods/sweep.json"
    assert message == (
        f"Needed: sweep_points; {plan} is missing, and `kedro sweep` makes it; "
        "--params variant=NAME names the sweep."
    )


def test_the_reports_of_a_run_and_of_a_sweep_are_not_written_at_once(tmp_path: Path) -> None:
    message = refuse(tmp_path, "reporting", "sweep_report", variant="methods")
    page = tmp_path / "data/08_reporting/test/methods/report.html"
    assert (
        f"report and sweep_report.page are the same file, {page}; run their pipelines in two variants."
        in message
    )


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


def test_a_run_that_reads_the_images_of_another_variant_does_not_make_them(tmp_path: Path) -> None:
    said = refuse(tmp_path, "snip", shared="other")
    assert said == (
        "Parameter shared is 'other', so the run reads images and dense run of that variant, but it would "
        "also make dense_run and images; leave out the parameter or the nodes."
    )
