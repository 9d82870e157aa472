"""``kedro run --params`` with lists."""

from pathlib import Path
from typing import Any

import click
import pytest

from lottery_pipeline.cli import cli, run, split_parameters
from lottery_pipeline.parameter_names import check_names
from lottery_pipeline.parameters import ParametersError


def read(params: str) -> Any:
    return run.make_context("run", ["--params", params]).params["params"]


@pytest.mark.parametrize(
    ("params", "values"),
    [
        ("seed=1,variant=a", {"seed": 1, "variant": "a"}),
        ("pretraining.milestones=80,120,seed=1", {"pretraining": {"milestones": "80,120"}, "seed": 1}),
        ("pretraining.milestones=[80,120],seed=1", {"pretraining": {"milestones": [80, 120]}, "seed": 1}),
        ("model.ignore_layers=fc, conv1", {"model": {"ignore_layers": "fc, conv1"}}),
        (
            "lth.extraction.layer_rates={fc: 0.1, conv1: 0.2}",
            {"lth": {"extraction": {"layer_rates": {"fc": 0.1, "conv1": 0.2}}}},
        ),
        ("a.b=1,a.c=2", {"a": {"b": 1, "c": 2}}),
        ("model.ignore_layers=", {"model": {"ignore_layers": None}}),
        ("seed=1,", {"seed": 1}),
        ("", {}),
    ],
)
def test_a_comma_inside_a_list_does_not_end_a_parameter(params: str, values: dict[str, Any]) -> None:
    assert read(params) == values


def test_what_is_not_a_key_with_a_value_is_refused_in_one_sentence() -> None:
    for params, words in (
        ("seed", "'seed' must be a key and a value"),
        ("=3", "'=3' must be"),
        ("a=[1", "cannot be read"),
    ):
        with pytest.raises(click.BadParameter, match=words) as refusal:
            read(params)
        assert "\n" not in refusal.value.message


def test_an_equals_sign_in_a_value_is_part_of_it() -> None:
    assert split_parameters("a.layer_rates=fc=0.1 conv1=0.2,b=1") == ["a.layer_rates=fc=0.1 conv1=0.2", "b=1"]


def test_the_project_has_two_commands_of_its_own() -> None:
    assert list(cli.commands) == ["run", "sweep"]
    assert run.callback is not None


@pytest.mark.parametrize(
    "typed",
    [
        "0.10",
        "0.1",
        "",
        "007",
        "1e3",
        "true",
        "null",
        "0x10",
        "1_000",
        "2026-01-01",
        "on",
        "~",
        "3",
        "a:b",
    ],
)
def test_a_name_is_what_was_typed(typed: str) -> None:
    for name in ("variant", "suspect", "ticket"):
        assert read(f"{name}={typed},seed=3") == {name: typed, "seed": 3}
    assert read(f"model.name={typed}") == {"model": {"name": typed}}


def test_quotes_around_a_name_are_left_out_and_null_is_no_root() -> None:
    assert read("variant='0.10'") == read('variant="0.10"') == {"variant": "0.10"}
    assert read("data.root=null,tracking.register=007") == {
        "data": {"root": None},
        "tracking": {"register": "007"},
    }


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("{variant: '0.10', seed: 3}", {"variant": "0.10", "seed": 3}),
        ("variant=0.10,seed=3", {"variant": "0.10", "seed": 3}),
        ("{variant: 0.10}", {"variant": 0.1}),  # YAML has lost what was typed
    ],
)
def test_a_name_in_a_file_of_options_is_what_was_typed_or_refused(
    written: str, read: dict[str, Any], tmp_path: Path
) -> None:
    file = tmp_path / "options.yml"
    file.write_text(f"run:\n  params: {written}\n")
    params = run.make_context("run", ["--config", str(file)]).params["params"]
    assert params == read
    if params["variant"] == "0.10":
        check_names(params)
        return
    with pytest.raises(ParametersError) as refusal:
        check_names(params)
    assert str(refusal.value) == (
        "Parameter variant is 0.1, which is not text and may not be what was written; "
        "put the name in quotes, such as '0.10'."
    )


def test_an_experiment_without_a_name_is_refused() -> None:
    for name in ("", " "):
        with pytest.raises(click.BadParameter, match="empty"):
            run.make_context("run", ["--env", name])
