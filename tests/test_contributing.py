"""The recipe of CONTRIBUTING.md for a new method, word for word, in a copy of the project."""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kedro_project import ROOT, variables

BLOCK = re.compile(r"```\w+\n(?:# |<!-- )([\w./]+\.\w+)(?: -->)?\n(.*?)```", re.DOTALL)
ROW_MARK = "    # Add the row of a new method here.\n"


def read_recipe() -> dict[str, str]:
    """Return what CONTRIBUTING.md says goes where for a new method."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    section = text[text.index("## Add a method") : text.index("## Add a data source")]
    return dict(BLOCK.findall(section))


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project to which the recipe has added the method ``force``."""
    folder = tmp_path_factory.mktemp("project")
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for name in ("src", "conf", "docs", "tests", "benchmarks", "notebooks"):
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    for name in ("pyproject.toml", "README.md", "CONTRIBUTING.md", "Makefile"):
        shutil.copy(ROOT / name, folder / name)
    for place, content in read_recipe().items():
        path = folder / place
        if not path.exists():
            path.write_text(content, encoding="utf-8")
        elif path.suffix == ".md":  # the row stands below that of another method
            old = path.read_text(encoding="utf-8")
            row = next(line for line in old.splitlines() if line.startswith("| `prospr` |"))
            path.write_text(old.replace(row, f"{row}\n{content.rstrip()}"), encoding="utf-8")
        else:
            old = path.read_text(encoding="utf-8")
            assert old.count(ROW_MARK) == 1
            row = "".join(f"    {line}\n" for line in f"{content.rstrip()},".splitlines())
            path.write_text(old.replace(ROW_MARK, row + ROW_MARK), encoding="utf-8")
    return folder


def call(copy: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run ``python -m ...`` on the copy."""
    path = os.pathsep.join([str(copy / "src"), str(copy)])
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=copy,
        env={**os.environ, **variables(copy), "PYTHONPATH": path, **environment},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def test_a_method_takes_at_most_five_places() -> None:
    assert list(read_recipe()) == [
        "src/lottery_pipeline/methods/force.py",
        "src/lottery_pipeline/options/methods.py",
        "conf/base/parameters/force.yml",
        "tests/methods/test_force.py",
        "docs/methods.md",
    ]


def test_the_new_method_runs_and_stands_in_leaderboard_and_report(copy: Path) -> None:
    result = call(copy, "kedro", "run", "--env", "test", "--pipelines", "force,reporting")
    assert result.returncode == 0, result.stderr
    folder = copy / "data/08_reporting/test/base"
    with (folder / "leaderboard.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["method"], float(row["density"])) == ("force", pytest.approx(0.25, abs=1e-4))
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert 'style="--c:#B05A7A"></span>Force' in page
    assert "<dt>Force</dt><dd>(nobody, a toy) Keep the weights on which the loss pulls hardest.</dd>" in page


def test_kedro_viz_draws_the_new_method(copy: Path) -> None:
    script = (
        "import json, sys; from pathlib import Path; from kedro_viz.server import load_and_populate_data;"
        "from kedro_viz.api.rest.responses.pipelines import get_pipeline_response;"
        "load_and_populate_data(Path.cwd(), pipeline_name='force');"
        "response = get_pipeline_response('force');"
        "print(json.dumps([node.name for node in response.nodes]))"
    )
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script],
        cwd=copy,
        env={**os.environ, **variables(copy), "PYTHONPATH": str(copy / "src")},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert "force" in json.loads(result.stdout.splitlines()[-1])


def test_its_own_test_the_contract_and_every_list_of_methods_are_content(copy: Path) -> None:
    contract = "tests/methods/test_contract.py"
    tests = ["tests/methods/test_force.py", "tests/test_pipeline_registry.py", "tests/test_settings.py"]
    tests += ["tests/reporting/test_palette.py", "tests/options/test_methods.py"]
    tests += [f"{contract}::test_every_row_of_the_table_has_a_function_and_every_function_a_row"]
    tests += [f"{contract}::test_every_method_has_a_module_parameters_a_test_and_a_row_in_the_docs"]
    for chosen in (tests, [contract, "-k", "force"]):
        result = call(copy, "pytest", "-q", "-p", "no:cacheprovider", *chosen)
        assert result.returncode == 0, result.stdout[-3000:]


def test_the_example_is_written_as_the_project_writes(copy: Path) -> None:
    result = call(
        copy, "ruff", "check", "src/lottery_pipeline/methods/force.py", "tests/methods/test_force.py"
    )
    assert result.returncode == 0, result.stdout
