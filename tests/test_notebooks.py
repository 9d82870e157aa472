"""Every notebook runs from top to bottom on a finished run, from the project folder and from its own."""

import os
import re
import subprocess
import sys
from pathlib import Path

import nbclient
import nbformat
import pytest

PROJECT = Path(__file__).parents[1]
NOTEBOOKS = sorted((PROJECT / "notebooks").glob("*.ipynb"))
SECONDS = 200


@pytest.fixture(scope="module")
def finished_run(tmp_path_factory):
    """Environment variables of a finished run of the experiment ``test``, its data in a folder of its own."""
    folder = tmp_path_factory.mktemp("finished_run")
    variables = {
        "KEDRO_ENV": "test",
        "LOTTERY_DATA_ROOT": str(folder / "data"),
        "LOTTERY_OWNER_KEY": str(folder / "owner_key.json"),
        "LOTTERY_TRACKING": "false",
        "OMP_NUM_THREADS": "1",
    }
    subprocess.run(
        [sys.executable, "-m", "kedro", "run"],
        cwd=PROJECT,
        env=os.environ | variables,
        check=True,
        timeout=SECONDS,
    )
    return variables


def execute(path, folder, variables):
    notebook = nbformat.read(path, as_version=4)
    client = nbclient.NotebookClient(
        notebook, timeout=SECONDS, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    )
    return client.execute(env=os.environ | variables)


def printed(notebook):
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    return "".join(output.text for output in outputs if output.output_type == "stream")


@pytest.mark.parametrize("folder", ["notebooks", "."])
def test_the_first_ticket_notebook_runs_and_leaves_removed_weights_at_zero(finished_run, folder):
    notebook = execute(PROJECT / "notebooks" / "first_ticket.ipynb", PROJECT / folder, finished_run)
    assert all(cell.execution_count for cell in notebook.cells if cell.cell_type == "code")
    text = printed(notebook)
    # LeNet-300-100 on 8x8 digits has 50,200 prunable weights; the experiment keeps a quarter.
    assert "ltr: 12,550 of D = 50,200 weights, density 0.250" in text
    match = re.search(r"\b0 of 37,650 removed weights are not 0; ([\d,]+) others have moved", text)
    assert match
    # Weights at pixels that are black in every image get no gradient.
    assert 10_000 < int(match[1].replace(",", "")) <= 12_550
    assert "rung 1 keeps 25,100 weights; the ticket lies inside it: True" in text


def test_there_is_a_test_for_every_notebook():
    assert [path.name for path in NOTEBOOKS] == ["first_ticket.ipynb"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_notebooks_are_stored_without_outputs_and_without_noise(path):
    notebook = nbformat.read(path, as_version=4)
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    assert dict(notebook.metadata.language_info) == {"name": "python"}
    for cell in notebook.cells:
        assert cell.metadata == {}
        assert cell.get("outputs", []) == []
        assert cell.get("execution_count") is None
