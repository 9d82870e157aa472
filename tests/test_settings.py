"""Configuration: the experiment is the environment, and experiments state their recipes in full."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from lottery_pipeline.options import MASK_OPTIONS, METHODS
from lottery_pipeline.parameters import check_parameters
from lottery_pipeline.settings import CONFIG_LOADER_ARGS, ExperimentConfigLoader
from tests.kedro_project import ROOT

CONF = ROOT / "conf"
EXPERIMENTS = sorted(
    path.name for path in CONF.iterdir() if path.is_dir() and path.name not in ("base", "local")
)


def load(env: str | None = None, **params: Any) -> ExperimentConfigLoader:
    return ExperimentConfigLoader(str(CONF), env=env, runtime_params=params, **CONFIG_LOADER_ARGS)


def read(experiment: str) -> dict[str, Any]:
    groups: dict[str, Any] = {}
    for path in [*(CONF / experiment).glob("parameters.yml"), *(CONF / experiment).glob("parameters/*.yml")]:
        groups |= yaml.safe_load(path.read_text())
    return groups


def test_the_experiments_of_the_contract_are_there() -> None:
    named = {"ap_benchmark", "canvases", "cifar10", "cifar100", "fashion_mnist", "image_folder", "test"}
    assert set(EXPERIMENTS) == named


@pytest.mark.parametrize("experiment", [None, *EXPERIMENTS])
def test_the_parameters_of_every_experiment_are_sound(experiment: str | None) -> None:
    checked = check_parameters(load(experiment)["parameters"])
    assert checked["pretraining"].rewind_epoch > 0


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_an_experiment_states_its_recipe_in_full_so_that_nothing_leaks_into_it(
    experiment: str,
) -> None:
    assert set(read(experiment)["pretraining"]) == set(read("base")["pretraining"])


@pytest.mark.parametrize("experiment", [None, *EXPERIMENTS])
def test_the_density_of_an_experiment_stands_once_and_reaches_every_method(experiment: str | None) -> None:
    parameters = load(experiment)["parameters"]
    density = yaml.safe_load((CONF / (experiment or "base") / "globals.yml").read_text())["density"]
    for name in MASK_OPTIONS:
        if METHODS[name].own_network and experiment in ("cifar10", "cifar100"):
            continue  # its density is that of another network, and these are too low for it
        # An iterative method may be told its rounds instead.
        assert parameters[name]["extraction"]["density"] in (density, None), name
    assert parameters["cts"]["extraction"]["density"] == density


@pytest.mark.parametrize(("env", "name"), [(None, "base"), ("test", "test"), ("cifar10", "cifar10")])
def test_the_experiment_is_the_environment(env: str | None, name: str) -> None:
    leaderboard = load(env)["catalog"]["leaderboard"]["filepath"]
    assert leaderboard.endswith(f"08_reporting/{name}/base/leaderboard.csv")


def test_the_variant_is_a_runtime_parameter() -> None:
    assert "/test/seed=3/" in load("test", variant="seed=3")["catalog"]["dense_run"]["filepath"]


def test_the_data_root_can_be_moved(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LOTTERY_DATA_ROOT", str(tmp_path))
    assert load()["catalog"]["images"]["filepath"] == f"{tmp_path}/03_primary/base/base/images.safetensors"
    monkeypatch.setenv("LOTTERY_DATA_ROOT", "")
    assert load()["catalog"]["images"]["filepath"] == "data/03_primary/base/base/images.safetensors"


def test_a_parameter_of_the_command_line_leaves_the_rest_of_its_group_alone() -> None:
    parameters = load("test", lth={"extraction": {"density": 0.9}}, data={"train_limit": 50})["parameters"]
    assert parameters["lth"]["extraction"]["density"] == 0.9
    assert parameters["lth"]["extraction"]["rate"] == 0.5
    assert parameters["data"]["source"] == "digits"
