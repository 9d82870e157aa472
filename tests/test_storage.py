"""Images on disk and in memory: every pipeline gives the same, and what one made serves the other."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.kedro_project import load_catalog, redirected, refuse, run

EVERY_CONSUMER = ("__default__", "sanity_checks", "ownership_attacks")


def load(name: str) -> Any:
    return load_catalog().load(name)


def test_a_dense_run_from_memory_serves_a_run_from_disk_and_the_record_says_which(tmp_path: Path) -> None:
    with redirected(tmp_path):
        run("snip", data={"storage": "memory"})
        dense, ticket = load("dense_run"), load("snip.trained_ticket")
        assert load("data_overview")["summary"]["storage"] == "memory"
        assert "storage" not in load("dense_record")

        run("snip", data={"storage": "disk"})
        assert load("dense_run").history == dense.history  # with its seconds: it was not trained again
        assert load("snip.trained_ticket").to_bytes() == ticket.to_bytes()
        assert load("data_overview")["summary"]["storage"] == "disk"

        run("dense_pretraining", data={"storage": "disk"}, pretraining={"epochs": 2})
        assert load("dense_record")["storage"] == "disk"


def test_images_on_disk_have_classes(tmp_path: Path) -> None:
    message = refuse(
        tmp_path,
        "data_preparation",
        data={"source": "canvases", "task": "keypoints", "storage": "disk"},
    )
    assert "storage 'disk' is for images with classes, not for task 'keypoints'" in message


def gather_results(folder: Path) -> dict[str, Any]:
    """What a run found, without what depends on a clock or on the random key of an owner."""
    models, reports = folder / "data/06_models/test/base", folder / "data/08_reporting/test/base"
    tickets = sorted(models.glob("*/*ticket.safetensors/*/*ticket.safetensors"))
    signed = "signature_embedding"
    sanity = json.loads((folder / "data/07_model_output/test/base/sanity_rows.json").read_text())
    robustness = (reports / "robustness.csv").read_text().splitlines()
    return {
        "tickets": {
            (path.parts[-4], path.name): path.read_bytes() for path in tickets if signed not in path.parts
        },
        "sanity": [{name: value for name, value in row.items() if name != "seconds"} for row in sanity],
        # Comparisons are corrected for one another, with that of the signed ticket among them.
        "robustness": [row for row in robustness if signed not in row and "comparison" not in row],
    }


@pytest.mark.slow
def test_every_consumer_of_images_finds_the_same_from_disk(tmp_path: Path) -> None:
    found = {}
    for storage in ("memory", "disk"):
        folder = tmp_path / storage
        with redirected(folder):
            for pipeline in EVERY_CONSUMER:
                run(pipeline, data={"storage": storage})
        found[storage] = gather_results(folder)
    assert found["disk"] == found["memory"]
    assert len(found["disk"]["tickets"]) > 10
