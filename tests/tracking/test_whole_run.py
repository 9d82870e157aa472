"""A whole run of the test experiment in MLflow: a row per method, the leaderboard, models for others."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lottery_pipeline.options import METHODS
from tests.kedro_project import load_catalog, redirected, run
from tests.test_documents import HISTORY, blocks

DEFAULT = {name for name, method in METHODS.items() if method.by_default}
SNIPPETS = blocks(HISTORY, "python")
# The document's lines, run where this package cannot be imported.
SCRIPT = """
import sys
import numpy
sys.modules["lottery_pipeline"] = None
pixels = numpy.load("images.npy")
{}
assert runs["metrics.test_accuracy"].notna().all()
numpy.save("logits", logits)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("tracked")
    with redirected(folder, tracking=True):
        run(tracking={"register": "digits_winner"})
        yield folder


@pytest.fixture(scope="module")
def table(folder: Path) -> Any:
    import mlflow

    # MLflow finds the store by its variable, which is set for this folder.
    return mlflow.search_runs(experiment_names=["lottery_pipeline"])


def test_every_method_is_a_row_in_which_it_can_be_sorted(table: Any) -> None:
    parent = table[table["tags.mlflow.parentRunId"].isna()].iloc[0]
    methods = table[table["tags.mlflow.parentRunId"] == parent["run_id"]]
    others = methods[methods["tags.method"].isna()]
    ownership = {"signature_embedding", "ownership_verification"}
    assert set(others["tags.mlflow.runName"]) == ownership | {"robustness_evaluation"}
    assert set(others["tags.verdict"].dropna()) == {"owned"}
    methods = methods[methods["tags.method"].notna()]
    assert set(methods["tags.mlflow.runName"]) == set(methods["tags.method"]) == DEFAULT
    assert len(table) == 1 + len(DEFAULT) + len(others)
    assert methods["metrics.test_accuracy"].notna().all()
    assert np.isnan(parent["metrics.test_accuracy"])
    assert set(table["status"]) == {"FINISHED"}
    for name in ("validation_accuracy", "density", "accuracy_delta", "search_epochs", "train_seconds"):
        assert methods[f"metrics.{name}"].notna().all(), name


def test_the_numbers_are_those_of_the_leaderboard(table: Any, folder: Path) -> None:
    leaderboard = load_catalog().load("leaderboard").set_index("method")
    methods = table[table["tags.method"].notna()].set_index("tags.method")
    for name in leaderboard.index:
        assert methods.loc[name, "metrics.test_accuracy"] == leaderboard.loc[name, "test_accuracy"]
        assert methods.loc[name, "tags.fingerprint"] == leaderboard.loc[name, "fingerprint"]


def test_no_run_has_more_metrics_than_one_can_read(folder: Path) -> None:
    for found in find_runs(folder):
        assert len(found.data.metrics) <= 60, found.info.run_name


def test_a_method_has_its_own_parameters_and_those_of_all(table: Any) -> None:
    methods = table[table["tags.method"].notna()].set_index("tags.method")
    assert methods.loc["snip", "params.extraction.density"] == "0.25"
    assert methods.loc["snip", "params.model.name"] == "lenet_300_100"
    assert methods["params.extraction.rate"].dropna().index.tolist() == ["ltr", "lth"]
    assert not [name for name in table.columns if name.startswith("params.work")]


def test_the_robustness_of_every_method_is_in_a_run_of_its_own(folder: Path) -> None:
    (found,) = [found for found in find_runs(folder) if found.info.run_name == "robustness_evaluation"]
    for method in ("dense", *DEFAULT):
        assert {f"robust_accuracy/{method}", f"corruption_accuracy/{method}"} <= found.data.metrics.keys()
    artifacts = list_artifacts(folder, found)
    assert {"tables/rows.json", "figures/robustness_evaluation.eps_curves.html"} <= artifacts


def test_the_run_itself_has_the_leaderboard_the_report_and_the_figures(folder: Path) -> None:
    parent = next(found for found in find_runs(folder) if "mlflow.parentRunId" not in found.data.tags)
    artifacts = list_artifacts(folder, parent)
    assert {"leaderboard.csv", "report.html", "parameters.json", "catalog_versions.json"} <= artifacts
    assert {"figures/training_curves.html", "figures/data_samples.html"} <= artifacts
    assert {"dense_accuracy", "dense/validation_accuracy"} <= parent.data.metrics.keys()
    assert "ltr/ticket.safetensors" not in artifacts


def test_a_method_has_its_ticket_and_its_tables(folder: Path) -> None:
    (ltr,) = [found for found in find_runs(folder) if found.info.run_name == "ltr"]
    artifacts = list_artifacts(folder, ltr)
    assert {"ticket.safetensors", "tables/ladder.json", "tables/controls.json"} <= artifacts
    assert {"evaluation/confusion.json", "evaluation/classes.json"} <= artifacts


def test_every_run_names_its_images_by_their_fingerprint(folder: Path) -> None:
    fingerprint = load_catalog().load("images").fingerprint
    for found in find_runs(folder):
        (images,) = found.inputs.dataset_inputs
        assert images.dataset.digest == fingerprint[:36]


def test_the_snippets_of_the_document_read_the_history_and_classify_images_where_this_package_is_absent(
    folder: Path,
) -> None:
    images = load_catalog().load("images").test.images[:7].float() / 255
    np.save(folder / "images.npy", images.numpy())
    (snip,) = [found for found in find_runs(folder) if found.info.run_name == "snip"]
    (model,) = snip.outputs.model_outputs
    script = re.sub("m-[0-9a-f]{32}", model.model_id, SCRIPT.format("\n".join(SNIPPETS)))
    assert model.model_id in script
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script],
        cwd=folder,
        check=True,
        timeout=120,
        capture_output=True,
    )
    network = load_catalog().load("snip.trained_ticket").build().eval()
    with torch.no_grad():
        expected = network(images).numpy()
    assert np.allclose(np.load(folder / "logits.npy"), expected, atol=1e-5)
    assert np.load(folder / "logits.npy").shape == (7, 10)


def test_the_winner_by_validation_is_registered(folder: Path) -> None:
    from mlflow import MlflowClient

    (version,) = MlflowClient(f"sqlite:///{folder / 'mlflow.db'}").search_model_versions(
        "name = 'digits_winner'"
    )
    winner = next(found for found in find_runs(folder) if found.info.run_id == version.run_id)
    rivals = [
        found.data.metrics for found in find_runs(folder) if "validation_accuracy" in found.data.metrics
    ]
    same = [rival for rival in rivals if rival["density"] == winner.data.metrics["density"]]
    best = max(rival["validation_accuracy"] for rival in same)
    assert winner.data.metrics["validation_accuracy"] == best


def find_runs(folder: Path) -> list[Any]:
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("lottery_pipeline")
    assert experiment is not None
    return list(client.search_runs([experiment.experiment_id]))


def list_artifacts(folder: Path, found: Any, path: str | None = None) -> set[str]:
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    files: set[str] = set()
    for item in client.list_artifacts(found.info.run_id, path):
        files |= list_artifacts(folder, found, item.path) if item.is_dir else {item.path}
    return files
