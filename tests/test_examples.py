"""Every example in comments, documents and docstrings can be typed as it stands."""

import ast
import re
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml

from lottery_pipeline.options import METHODS
from lottery_pipeline.parameters import GROUPS
from tests.examples import (
    CONFIGURATIONS,
    PIPELINES,
    TYPES,
    Comment,
    env_of,
    fault_of_command,
    fault_of_parameters,
    fault_of_setting,
    fault_of_value,
    faults_of_comment,
    find_commands,
    read_comments,
)
from tests.kedro_project import ROOT
from tests.test_documents import DOCUMENTS, TOY, blocks, list_commands, read, without_fences

COMMANDS = [
    pytest.param(command, env_of(path), id=f"{path.relative_to(ROOT / 'conf')}: {command}")
    for path in CONFIGURATIONS
    for command in find_commands(path.read_text(encoding="utf-8"))
]
SPAN = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
SETTING = re.compile(r"[a-z_]+(?:\.[a-z_0-9]+)*(?:=\S.*|: [\w./-]+)")
# Names of Python, of torch and of a verdict, not of parameters.
NOT_PARAMETERS = ("image_size=(", "track_running_stats", "checkpoints=")
SETTINGS = sorted(
    {
        span.strip('"')
        for document in DOCUMENTS
        for span in SPAN.findall(without_fences(read(document)))
        if SETTING.fullmatch(span.strip('"')) and not span.startswith(NOT_PARAMETERS)
    }
)
RUNS = [
    pytest.param(command, id=f"{document.name}: {command}")
    for document in DOCUMENTS
    for command, error in list_commands(document)
    if command.startswith("kedro run ") and error is None and TOY not in command
]


@pytest.mark.parametrize(("command", "env"), COMMANDS)
def test_every_command_in_a_comment_of_the_configuration_could_run(command: str, env: str | None) -> None:
    assert fault_of_command(command, env) == ""


@pytest.mark.parametrize("command", RUNS)
def test_every_command_in_a_document_could_run_down_to_the_names_of_layers(command: str) -> None:
    assert fault_of_command(command) == ""


@pytest.mark.parametrize("path", CONFIGURATIONS, ids=lambda path: str(path.relative_to(ROOT / "conf")))
def test_the_choices_and_examples_in_a_comment_are_allowed_there(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    comments = read_comments(text, path.name)
    assert [fault for comment in comments for fault in faults_of_comment(comment, env_of(path))] == []
    for name in re.findall(r"# Pipeline ([a-z_]+)", text):
        assert name in PIPELINES
    for names in re.findall(r"Methods for masks and points: ([\w, ]+)\.", text):
        assert set(names.split(", ")) == {name for name, method in METHODS.items() if method.any_task}


@pytest.mark.parametrize("setting", SETTINGS)
def test_every_setting_that_a_document_names_is_a_parameter_with_a_value_that_is_allowed(
    setting: str,
) -> None:
    assert fault_of_setting(setting) == ""


def test_every_group_in_a_document_can_be_a_configuration() -> None:
    found = [yaml.safe_load(text) for document in DOCUMENTS for text in blocks(document, "yaml")]
    groups = [values for values in found if set(values) <= set(GROUPS)]
    assert groups, "docs/supertickets.md shows a supernet"
    for values in groups:
        assert fault_of_parameters(values) == "" or "force" in values


def list_docstrings() -> list[Any]:
    """Every attribute of an options class, with what its docstring says about it."""
    rows = []
    folder = ROOT / "src" / "lottery_pipeline" / "options"
    for path in [
        *sorted(folder.glob("*.py")),
        folder.parent / "parameters.py",
        folder.parent / "training/recipe.py",
    ]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                _, _, attributes = (ast.get_docstring(node) or "").partition("Attributes:\n")
                for name, text in re.findall(r"^    (\w+): (.*?)(?=^    \w+: |\Z)", attributes, re.M | re.S):
                    rows.append(pytest.param(name, " ".join(text.split()), id=f"{node.name}.{name}"))
    return rows


@pytest.mark.parametrize(("name", "text"), list_docstrings())
def test_the_examples_in_the_docstring_of_an_option_are_allowed(name: str, text: str) -> None:
    paths = [path for path in TYPES if path.endswith(f".{name}")]
    for span in re.findall(r"``([^`]+)``", text):
        if re.fullmatch(r"[\[{].*[\]}]", span):
            value = yaml.safe_load(span)
            assert any(not fault_of_value(path, value) for path in paths), span
            if name in ("layer_rates", "ignore_layers"):
                rates = {"scope": "layer", "layer_rates": value}
                assert (
                    fault_of_parameters({"model": {"name": "lenet_300_100"}, "lth": {"extraction": rates}})
                    == ""
                )
        elif re.fullmatch(r"\w+: \w+", span):
            assert fault_of_setting(span) == "", span


# Negative controls ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "command",
    [
        "kedro run --pipelines lht",
        "kedro run --env cifar1000",
        "kedro run --colour red",
        "kedro run --params ltr.extraction.densty=0.1",
        "kedro run --params cts.extraction.objective=accuracy",
        "kedro run --params sanity_checks.methods=snipp",
        "kedro run --params model.name=resnet21",
        "kedro run --params model.ignore_layers=fc3",
        'kedro run --params "lth.extraction.scope=layer,lth.extraction.layer_rates=fc3=0.1"',
        "kedro run --params suspekt=FILE",
    ],
)
def test_a_command_with_a_name_that_is_not_there_is_found(command: str) -> None:
    assert fault_of_command(command)
    assert list(find_commands(f"# {command}")) == [command]


@pytest.mark.parametrize(
    ("line", "path"),
    [
        ("layer_rates: {} # (scope layer), by pattern: {fc3: 0.1}", "lth.extraction.layer_rates"),
        ("ignore_layers: [] # by pattern: [fc9]", "model.ignore_layers"),
        ("optimiser: sgd # sgd | nestrov | adam", "pretraining.optimiser"),
        ("kinds: [random_mask] # random_mask | reinitialize", "lth.controls.kinds"),
    ],
)
def test_a_comment_with_a_value_that_is_not_allowed_is_found(line: str, path: str) -> None:
    (_, beside) = deepcopy(list(read_comments(line)))
    assert list(faults_of_comment(Comment("", path, beside.text)))


@pytest.mark.parametrize("setting", ["density_off: model", "cts.extraction.length=forever", "rho: automatic"])
def test_a_setting_that_is_not_allowed_is_found(setting: str) -> None:
    assert fault_of_setting(setting)
