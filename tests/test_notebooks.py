"""Every notebook runs from top to bottom, and says what it shows."""

import os
import re
import subprocess
import sys

import nbclient
import nbformat
import pytest

from tests.kedro_project import ROOT, variables

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
SECONDS = 600  # for a cell, on a machine that is busy with other work


@pytest.fixture(scope="module")
def finished_run(tmp_path_factory):
    """Environment variables of a finished run of the experiment ``test``, its data in a folder of its own."""
    environment = {"KEDRO_ENV": "test", **variables(tmp_path_factory.mktemp("finished_run"))}
    subprocess.run(
        [sys.executable, "-m", "kedro", "run"],
        cwd=ROOT,
        env=os.environ | environment,
        check=True,
        timeout=SECONDS,
    )
    return environment


def execute(name, folder, environment):
    notebook = nbformat.read(ROOT / "notebooks" / name, as_version=4)
    client = nbclient.NotebookClient(
        notebook, timeout=SECONDS, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    )
    client.execute(env=os.environ | environment)
    assert all(cell.execution_count for cell in notebook.cells if cell.cell_type == "code")
    return notebook


def printed(notebook):
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    return "".join(output.text for output in outputs if output.output_type == "stream")


def quiet(notebook):
    """Whether nothing but results is shown: no warning, no log."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    return not [output for output in outputs if re.search("stderr|WARNING|INFO", str(output))]


@pytest.mark.parametrize("folder", ["notebooks", "."])
def test_the_first_ticket_notebook_runs_and_leaves_removed_weights_at_zero(finished_run, folder):
    text = printed(execute("first_ticket.ipynb", ROOT / folder, finished_run))
    # LeNet-300-100 on 8x8 digits has 50,200 prunable weights; the experiment keeps a quarter.
    assert "ltr: 12,550 of D = 50,200 weights, density 0.250" in text
    match = re.search(r"\b0 of 37,650 removed weights are not 0; ([\d,]+) others have moved", text)
    assert match
    # Weights at pixels that are black in every image get no gradient.
    assert 10_000 < int(match[1].replace(",", "")) <= 12_550
    assert "rung 1 keeps 25,100 weights; the ticket lies inside it: True" in text


@pytest.mark.slow
def test_the_notebook_on_methods_compares_them_over_seeds_and_finds_them_in_mlflow(tmp_path):
    notebook = execute("compare_methods.ipynb", ROOT / "notebooks", variables(tmp_path, tracking=True))
    text = printed(notebook)
    assert "kept: [2510], of D = [50200]; notes: 0" in text
    assert re.search(r"^lth +\d\d\.\d% of 359 images, from \d\d\.\d% to \d\d\.\d%$", text, re.MULTILINE)
    # Magnitude pruning in rounds beats chance by tens of points.
    assert re.search(r"^lth - random +\+\d\d\.\d points, .* \(3 seeds\): differ$", text, re.MULTILINE)
    assert "9 runs in MLflow; 54 points of training curves" in text
    assert quiet(notebook)


@pytest.mark.slow
def test_the_notebook_on_your_own_things_finds_a_ticket_in_them(tmp_path):
    notebook = execute("bring_your_own.ipynb", ROOT, variables(tmp_path))
    text = printed(notebook)
    assert "387 training, 43 validation and 107 test images" in text
    assert "The last layer (9.weight, 9.bias) starts fresh, because the file has 7 classes." in text
    assert "513 of D = 5,136 weights" in text
    dense, ticket = map(float, re.search(r"dense ([\d.]+)%, ticket ([\d.]+)%", text).groups())
    assert min(dense, ticket) > 80  # of three classes
    assert (tmp_path / "data/08_reporting/base/own/report.html").is_file()
    assert quiet(notebook)


def test_there_is_a_test_for_every_notebook():
    names = ["bring_your_own.ipynb", "compare_methods.ipynb", "first_ticket.ipynb"]
    assert [path.name for path in NOTEBOOKS] == names


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_notebooks_are_stored_without_outputs_and_without_noise(path):
    notebook = nbformat.read(path, as_version=4)
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    assert dict(notebook.metadata.language_info) == {"name": "python"}
    for cell in notebook.cells:
        assert cell.metadata == {}
        assert cell.get("outputs", []) == []
        assert cell.get("execution_count") is None
