"""The hook: which output goes to which run of MLflow, on small pipelines with Kedro's own runners."""

import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import pytest
from kedro.framework.hooks.manager import _create_hook_manager
from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import Node, Pipeline
from kedro.runner import SequentialRunner, ThreadRunner

from lottery_pipeline.datasets.images import ImageSplitsDataset
from lottery_pipeline.datasets.local_files import LocalFileDataset
from lottery_pipeline.datasets.records import (
    FigureDataset,
    ParquetDataset,
    RecordDataset,
    TableDataset,
    TextDataset,
)
from lottery_pipeline.datasets.tickets import TicketDataset
from lottery_pipeline.pipeline_registry import register_pipelines
from lottery_pipeline.tracking import current
from lottery_pipeline.tracking.hook import TrackingHooks
from lottery_pipeline.tracking.results import find_parameters
from tests.kedro_project import load_catalog
from tests.tiny import draw_images, draw_ticket
from tests.tracking.runs import curve, find_runs, list_artifacts

PARAMETERS: dict[str, Any] = {
    "seed": 3,
    "ltr": {"extraction": {"density": 0.2}},
    "cts": {"extraction": {"density": 0.1}},
    "tracking": {"register": None},
}
ROW = {"epoch": 1, "step": 1, "train_loss": 0.5}


def fail(**_: Any) -> None:
    raise ValueError("too bad")


def make_block(block: str, find: Callable[..., Any] = draw_ticket) -> Pipeline:
    def find_ticket(images: Any, seed: int, extraction: Any) -> Any:
        current().log_row(block, "round_01", ROW)
        return find(width=8)

    def train_ticket(ticket: Any) -> tuple[Any, Any]:
        current().log_row(block, "training", ROW)
        metrics = {"method": block, "fingerprint": f"f-{block}", "test_accuracy": 0.9, "seed": 3}
        chosen = {"density": 0.2, "kept": 20, "validation_accuracy": 0.8, "search_epochs": 1.0}
        return ticket, {"metrics": metrics | chosen, "history": [ROW]}

    inputs = ["images", "params:seed", "params:extraction"]
    nodes = [
        Node(find_ticket, inputs=inputs, outputs="ticket", name="find"),
        Node(train_ticket, inputs="ticket", outputs=["trained_ticket", "record"], name="train"),
    ]
    return Pipeline(nodes, namespace=block, inputs={"images"}, parameters={"params:seed"})


def prepare(images: Any) -> Any:
    return images


def make_report() -> Pipeline:
    table = pd.DataFrame([{"run": "ltr", "fingerprint": "f-ltr"}, {"run": "cts", "fingerprint": "f-cts"}])
    outputs = ["leaderboard", "results", "curves", "report"]
    node = Node(
        lambda _: (table, table, go.Figure(), "text"), inputs="params:seed", outputs=outputs, name="report"
    )
    return Pipeline([node])


PREPARATION = Pipeline([Node(prepare, inputs="raw", outputs="images", name="prepare")])


class Project:
    """A project of these pipelines, its files under a folder."""

    def __init__(self, uri: str, folder: Path) -> None:
        self.uri, self.folder, self.hook = uri, folder, TrackingHooks()
        self.configure()

    def configure(self, **settings: Any) -> None:
        settings = {"tracking_uri": self.uri, "experiment": "tests", "models": False, **settings}
        context: Any = SimpleNamespace(project_path=self.folder, config_loader={"mlflow": settings})
        self.hook.after_context_created(context)

    def make_catalog(self, **parameters: Any) -> DataCatalog:
        given = PARAMETERS | parameters
        names = dict.fromkeys(("ticket", "trained_ticket"), TicketDataset) | {"record": RecordDataset}
        blocks = {f"{block}.{name}": kind for block in ("ltr", "cts") for name, kind in names.items()}
        kinds = {
            "leaderboard": TableDataset,
            "results": ParquetDataset,
            "curves": FigureDataset,
            "report": TextDataset,
            **blocks,
        }
        files: dict[str, Any] = {
            name: kind(filepath=str(self.folder / "data" / f"{name}.file")) for name, kind in kinds.items()
        }
        files["images"] = ImageSplitsDataset(filepath=str(self.folder / "data" / "images.safetensors"))
        files["raw"] = MemoryDataset(draw_images(), copy_mode="assign")
        files |= {f"params:{name}": MemoryDataset(value) for name, value in given.items()}
        for block in ("ltr", "cts"):
            files[f"params:{block}.extraction"] = MemoryDataset(given[block]["extraction"])
        return DataCatalog({**files, "parameters": MemoryDataset(given)})

    def run(self, pipeline: Pipeline, runner: Any = SequentialRunner, **parameters: Any) -> None:
        """Run as Kedro's session does."""
        catalog, manager = self.make_catalog(**parameters), _create_hook_manager()
        manager.register(self.hook)
        given: dict[str, Any] = {"run_id": "now", "pipeline_names": ["b", "a"], "env": "test"}
        hooks = manager.hook
        hooks.before_pipeline_run(run_params=given, pipeline=pipeline, catalog=catalog)
        try:
            result = runner().run(pipeline, catalog, manager)
        except Exception as error:
            hooks.on_pipeline_error(error=error, run_params=given, pipeline=pipeline, catalog=catalog)
            raise
        hooks.after_pipeline_run(run_params=given, run_result=result, pipeline=pipeline, catalog=catalog)


@pytest.fixture
def project(mlflow_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    yield Project(mlflow_uri, tmp_path)
    current().finish("KILLED")


PARENT = "test/base a b"
METHODS = PREPARATION + make_block("ltr") + make_block("cts")


@pytest.mark.parametrize("runner", [SequentialRunner, ThreadRunner])
def test_each_method_is_a_run_within_the_run(runner: Any, project: Project) -> None:
    project.run(METHODS, runner)
    runs = find_runs(project.uri)
    assert set(runs) == {PARENT, "ltr", "cts"}
    for block in ("ltr", "cts"):
        data = runs[block].data
        assert runs[block].info.status == "FINISHED"
        assert data.tags["mlflow.parentRunId"] == runs[PARENT].info.run_id
        assert data.metrics["test_accuracy"] == 0.9
        assert curve(project.uri, block, "training/train_loss") == [(1, 0.5)]
        assert curve(project.uri, block, "search/train_loss") == [(1, 0.5)]
        assert len(runs[block].inputs.dataset_inputs) == 1
        assert list_artifacts(project.uri, block) == {f"{block}.ticket.file"}
    assert "test_accuracy" not in runs[PARENT].data.metrics


def test_methods_have_the_same_parameters_by_name_and_the_run_has_the_shared_ones(project: Project) -> None:
    project.run(METHODS)
    parameters = {name: run.data.params for name, run in find_runs(project.uri).items()}
    assert parameters == {
        PARENT: {"seed": "3"},
        "ltr": {"seed": "3", "extraction.density": "0.2"},
        "cts": {"seed": "3", "extraction.density": "0.1"},
    }


def test_every_run_has_the_tags_of_its_experiment(project: Project) -> None:
    project.run(METHODS, variant="v1")
    wanted = {
        "kedro.run_id": "now",
        "kedro.pipelines": "a,b",
        "experiment": "test",
        "variant": "v1",
        "seed": "3",
    }
    runs = find_runs(project.uri)
    assert set(runs) == {"test/v1 a b", "ltr", "cts"}
    assert all(wanted.items() <= run.data.tags.items() for run in runs.values())


def test_what_reporting_makes_is_in_the_run_itself(project: Project) -> None:
    project.run(METHODS + make_report())
    assert list_artifacts(project.uri, PARENT) == {
        "parameters.json",
        "catalog_versions.json",
        "leaderboard.file",
        "results.file",
        "report.file",
        "figures/curves.html",
    }


def test_a_report_of_stored_results_has_no_methods_and_links_to_the_runs_that_made_them(
    project: Project,
) -> None:
    project.run(METHODS)
    maker = find_runs(project.uri)["ltr"].info.run_id
    project.run(make_report())
    runs = find_runs(project.uri)
    assert runs["ltr"].info.run_id == maker
    assert runs[PARENT].data.tags["reused.ltr"] == maker


def test_a_run_links_only_what_it_has_not_made_itself(project: Project) -> None:
    project.run(METHODS)
    project.run(PREPARATION + make_block("ltr") + make_report())
    assert {"reused.cts"} == {tag for tag in find_runs(project.uri)[PARENT].data.tags if "reused" in tag}


def test_images_that_a_node_says_it_has_reused_are_not_made_again(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.run(PREPARATION)
    maker = find_runs(project.uri)[PARENT]
    assert maker.data.tags["made.images"] == draw_images().fingerprint

    def reuse(images: Any) -> Any:
        current().note_reuse("images", images.fingerprint)
        return images

    project.run(Pipeline([Node(reuse, inputs="raw", outputs="images", name="prepare")]))
    tags = find_runs(project.uri)[PARENT].data.tags
    assert tags["reused.images"] == maker.info.run_id
    assert "made.images" not in tags


def test_what_workers_saved_is_mirrored_at_the_end(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    # The hooks of a parallel runner's workers do nothing here, and nodes log nothing.
    with monkeypatch.context() as workers:
        for hook in ("before_node_run", "after_dataset_saved", "after_dataset_loaded"):
            workers.setattr(f"lottery_pipeline.tracking.hook.TrackingHooks.{hook}", lambda *_, **__: None)
        workers.setattr("lottery_pipeline.tracking.tracker.Tracker.log_row", lambda *_: None, raising=True)
        catalog = project.make_catalog()
        SequentialRunner().run(METHODS, catalog)
    run_params: dict[str, Any] = {"run_id": "now", "pipeline_names": ["b", "a"], "env": "test"}
    project.hook.before_pipeline_run(run_params=run_params, pipeline=METHODS, catalog=catalog)
    project.hook.after_pipeline_run(pipeline=METHODS)
    runs = find_runs(project.uri)
    assert {name: run.info.status for name, run in runs.items()} == dict.fromkeys(runs, "FINISHED")
    for block in ("ltr", "cts"):
        assert runs[block].data.metrics["test_accuracy"] == 0.9
        assert curve(project.uri, block, "training/train_loss") == [(1, 0.5)]
        assert len(runs[block].inputs.dataset_inputs) == 1
        assert list_artifacts(project.uri, block) == {f"{block}.ticket.file"}


def test_a_block_that_fails_is_a_failed_run_and_one_that_was_never_reached_is_none(project: Project) -> None:
    with pytest.raises(ValueError, match="too bad"):
        project.run(PREPARATION + make_block("cts", find=fail) + make_block("ltr"))
    runs = find_runs(project.uri)
    assert {name: run.info.status for name, run in runs.items()} == {PARENT: "FAILED", "cts": "FAILED"}
    assert runs["cts"].data.tags["error"] == "ValueError: too bad"


def test_a_block_without_a_record_is_no_run(project: Project) -> None:
    project.run(PREPARATION + make_block("ltr").only_nodes("ltr.find"))
    assert set(find_runs(project.uri)) == {PARENT}
    files = {"parameters.json", "catalog_versions.json", "ltr.ticket.file"}
    assert list_artifacts(project.uri, PARENT) == files


def test_the_versions_of_the_catalog_are_told(project: Project) -> None:
    from mlflow.artifacts import load_dict

    project.run(METHODS)
    run = find_runs(project.uri)[PARENT]
    assert load_dict(f"{run.info.artifact_uri}/catalog_versions.json") == {}  # nothing here is versioned
    assert load_dict(f"{run.info.artifact_uri}/parameters.json") == json.loads(json.dumps(PARAMETERS))


def test_the_winner_is_registered_if_a_name_is_given(project: Project) -> None:
    from mlflow import MlflowClient

    project.configure(models=True)
    project.run(METHODS, tracking={"register": "best"})
    (version,) = MlflowClient(project.uri).search_model_versions("name = 'best'")
    assert version.run_id == find_runs(project.uri)["cts"].info.run_id  # a tie: by name


def test_without_tracking_nothing_is_written(project: Project) -> None:
    project.configure(enabled=False)
    project.run(METHODS)
    assert find_runs(project.uri) == {}


def test_a_run_that_was_interrupted_in_this_process_is_closed_by_the_next(project: Project) -> None:
    run_params: dict[str, Any] = {"run_id": "first", "pipeline_names": ["old"]}
    project.hook.before_pipeline_run(run_params=run_params, pipeline=METHODS, catalog=project.make_catalog())
    project.run(PREPARATION)
    statuses = {name: run.info.status for name, run in find_runs(project.uri).items()}
    assert statuses == {"base/base old": "KILLED", PARENT: "FINISHED"}


def test_a_broken_store_costs_one_warning_and_no_result(
    project: Project, caplog: pytest.LogCaptureFixture
) -> None:
    (project.folder / "broken.db").write_text("no data base" * 100)
    project.configure(tracking_uri="sqlite:///broken.db")
    with caplog.at_level(logging.WARNING, logger="lottery_pipeline"):
        project.run(METHODS)
    assert len(caplog.records) == 1
    assert (project.folder / "data" / "ltr.record.file").is_file()


PIPELINES = register_pipelines()
NOT_SENT = {
    "ladder": "may be large; its table is in the record",
    "architecture": "its table is in the record",
    "search": "its costs are in the metrics",
    "trace": "of a search alone; else in the record",
    "results": "the records, once more",
    "commitment": "a step on the way to the release",
    "release": "a folder to be published, with the trained ticket, which is sent",
    "mark": "its numbers are in the metrics",
    "disclosure": "a secret",
}


class Counter:
    """Counts what is sent for each output."""

    active = True

    def __init__(self) -> None:
        self.sent = 0

    def __getattr__(self, _: str) -> Any:
        def count(*_: Any) -> None:
            self.sent += 1

        return count


@pytest.mark.parametrize("name", list(PIPELINES))
def test_every_output_of_a_registered_pipeline_reaches_mlflow_once(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LocalFileDataset, "stored_path", lambda dataset: dataset.path)
    pipeline, catalog, hooks = PIPELINES[name], load_catalog(), TrackingHooks()
    hooks._groups = find_parameters(pipeline)
    hooks._datasets = {dataset: catalog.get(dataset) for dataset in pipeline.all_outputs()}
    recorded = {
        part for node in pipeline.nodes for part in node.inputs if f"{node.namespace}.record" in node.outputs
    }
    for node in pipeline.nodes:
        for output in node.outputs:
            counter = Counter()
            monkeypatch.setattr("lottery_pipeline.tracking.hook.current", lambda counter=counter: counter)
            leaderboard = pd.DataFrame({"run": [], "fingerprint": []})
            data = leaderboard if output == "leaderboard" else SimpleNamespace(fingerprint="a")
            hooks.after_dataset_saved(output, data, node)
            part = output.rpartition(".")[2]
            # A record reads the figures of its block to hide them in the drawing, and does not hold them.
            drawn = isinstance(hooks._datasets[output], FigureDataset)
            if part in NOT_SENT or (output in recorded and not drawn):
                assert counter.sent == 0, f"{output} is sent, and in the record"
            else:
                assert counter.sent == 1, output
