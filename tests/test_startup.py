"""Starting: the commands people type all the time must not load what they do not need."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.kedro_project import ROOT, command, variables
from tests.sweep_files import make_study, write_sweep

HEAVY = ("torch", "torchvision", "mlflow", "plotly", "pandas", "sklearn")


def modules_after(code: str) -> set[str]:
    script = f"import sys\n{code}\nprint('|'.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    return set(done.stdout.splitlines()[-1].split("|"))


@pytest.mark.parametrize("arguments", [["registry", "list"], ["viz", "--help"], ["run", "--help"]])
def test_a_command_loads_neither_torch_nor_mlflow(arguments: list[str]) -> None:
    loaded = modules_after(
        "from kedro.framework.cli.cli import main\n"
        f"sys.argv = ['kedro', *{arguments!r}]\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code, end.code"
    )
    assert "kedro.framework.cli" in loaded
    assert not loaded & {"torch", "torchvision", "mlflow"}


def test_the_registry_and_the_settings_load_nothing_heavy() -> None:
    loaded = modules_after(
        "import lottery_pipeline.settings\n"
        "from lottery_pipeline.pipeline_registry import register_pipelines\n"
        "assert register_pipelines()['ltr'].nodes"
    )
    assert not loaded & set(HEAVY)


def test_the_command_lists_the_pipelines_without_a_warning(tmp_path: Path) -> None:
    done = command(tmp_path, "registry", "list")
    assert done.returncode == 0
    assert "- ltr" in done.stdout.splitlines()
    assert done.stderr == ""


def test_a_refused_run_imports_no_torch() -> None:
    loaded = modules_after(
        "from kedro.framework.cli.cli import main\n"
        "sys.argv = ['kedro', 'run', '--env', 'test', '--params', 'seed=abc']\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert end.code == 1"
    )
    assert not loaded & set(HEAVY)


def test_the_report_of_a_sweep_imports_no_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_sweep(
        tmp_path / "data/07_model_output", *make_study(seeds=2, densities=(0.018,)), experiment="test"
    )
    for name, value in variables(tmp_path).items():
        monkeypatch.setenv(name, value)
    arguments = ["run", "--env", "test", "--pipelines", "sweep_report", "--params", "variant=methods"]
    loaded = modules_after(
        "from kedro.framework.cli.cli import main\n"
        f"sys.argv = ['kedro', *{arguments!r}]\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code, end.code"
    )
    assert (tmp_path / "data/08_reporting/test/methods/report.html").is_file()
    assert not loaded & {"torch", "torchvision", "mlflow"}


def test_telemetry_is_off() -> None:
    assert (ROOT / ".telemetry").read_text() == "consent: false\n"
