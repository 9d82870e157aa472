"""Configuration: the experiment is the environment, and experiments state their recipes in full."""

import shutil
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from lottery_pipeline.datasets.catalog import ProjectCatalog
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
    named = {
        "ap_benchmark",
        "canvases",
        "cifar10",
        "cifar100",
        "cts_study",
        "fashion_mnist",
        "image_folder",
        "layer_study",
        "test",
    }
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


@pytest.mark.parametrize("env", ["../../x", "/etc", "a/b", "a\\b", "..", ".git", " ", "a b", "x" * 101])
def test_an_experiment_that_is_a_path_is_refused_in_one_sentence(env: str) -> None:
    with pytest.raises(click.ClickException, match="is not the name of an experiment") as refusal:
        load(env)
    assert "\n" not in refusal.value.message


@pytest.mark.parametrize(
    "root", ["s3://me:secret@bucket/a", "file:///data", "gs://a", "memory://", "hdfs:/a"]
)
@pytest.mark.parametrize("variable", ["LOTTERY_DATA_ROOT", "LOTTERY_OWNER_KEY"])
def test_an_address_instead_of_a_path_is_refused_in_one_sentence(
    variable: str, root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, root)
    with pytest.raises(click.ClickException, match=f"{variable} is .* must be a path") as refusal:
        load()
    assert "\n" not in refusal.value.message
    assert "secret" not in refusal.value.message


def test_the_configuration_is_found_in_a_folder_of_any_name(tmp_path: Path) -> None:
    folder = tmp_path / "a %20#?+ü'\"$x[z]*&;"
    shutil.copytree(CONF, folder / "conf")
    loader = ExperimentConfigLoader(str(folder / "conf"), env="test", **CONFIG_LOADER_ARGS)
    assert loader["parameters"]["model"]["name"] == "lenet_300_100"


def test_braces_in_a_path_are_refused_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    words = "but Kedro puts names where a path has braces; choose one without { and }."
    with pytest.raises(click.ClickException) as refusal:
        ExperimentConfigLoader("/projects/{a}/conf", **CONFIG_LOADER_ARGS)
    assert refusal.value.message == f"The project folder is '/projects/{{a}}/conf', {words}"
    monkeypatch.setenv("LOTTERY_DATA_ROOT", "/data/{x}")
    with pytest.raises(click.ClickException) as refusal:
        load()
    assert refusal.value.message == f"LOTTERY_DATA_ROOT is '/data/{{x}}', {words}"


def test_a_version_of_a_dataset_that_the_catalog_lacks_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(click.ClickException, match="not a dataset of the catalog; did you mean cts"):
        ProjectCatalog.from_config({"cts.ticket": {"type": "x"}}, load_versions={"cts.tickt": "1"})
