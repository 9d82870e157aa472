"""The examples in comments, documents and docstrings, and what is wrong with them."""

import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from omegaconf import OmegaConf
from pydantic import TypeAdapter, ValidationError

from lottery_pipeline.cli import read_name
from lottery_pipeline.cli import run as run_command
from lottery_pipeline.hooks.search_checks import check_method, check_model, look_ahead
from lottery_pipeline.images.request import SOURCES
from lottery_pipeline.models.choice import check_choice
from lottery_pipeline.models.names import is_factory
from lottery_pipeline.options.allowed import annotate
from lottery_pipeline.options.lists import list_members, read_lists
from lottery_pipeline.parameter_names import NAMES, OPTIONAL_NAMES
from lottery_pipeline.parameters import (
    GROUPS,
    RUNTIME_GROUPS,
    ParametersError,
    check_parameters,
)
from lottery_pipeline.pipeline_registry import register_pipelines
from lottery_pipeline.settings import CONFIG_LOADER_ARGS, ExperimentConfigLoader
from lottery_pipeline.sweeps.request import SweepRequest
from tests.kedro_project import ROOT
from tests.options.parameter_fields import FIELDS

PIPELINES = set(register_pipelines())
SWEEP = {f"sweep.{name}": annotate(field) for name, field in SweepRequest.model_fields.items()}
TYPES = {**GROUPS, **RUNTIME_GROUPS, **dict(FIELDS), **SWEEP}
PLACEHOLDER = re.compile(r"<\w+>|\b(FILE|FOLDER|NAME|HASH|ROOT)\b|\.\.\.")
LITERAL = re.compile(r"\[[^\[\]]*\]|\{[^{}]*\}")


class Comment(NamedTuple):
    """What is said about a key: beside it, or in the lines above it."""

    place: str
    path: str
    text: str


# Commands and parameters ------------------------------------------------------------------------------------


def fault_of_command(command: str, env: str | None = None) -> str:
    """Say what is wrong with a ``kedro run`` or a part of one; nothing if it could run."""
    words = re.sub(r"\\\n\s*", "", command).removeprefix("kedro run").strip()
    try:
        options = dict(run_command.make_context("run", shlex.split(words, comments=True)).params)
    except Exception as error:  # what click says to a command that nobody can type
        return str(error)
    named = {*options["pipelines"], *([options["pipeline"]] if options.get("pipeline") else [])}
    if unknown := named - PIPELINES:
        return f"unknown pipeline {unknown.pop()}"
    env = options["env"] or env
    if env is not None and not (ROOT / "conf" / env).is_dir():
        return f"unknown experiment {env}"
    return fault_of_parameters(options["params"], env, has_model=named != {"data_preparation"})


def fault_of_parameters(params: Any, env: str | None = None, *, has_model: bool = True) -> str:
    """Say what the checks before a run say to these parameters, down to the names of layers."""
    known = drop_placeholders(params if isinstance(params, dict) else OmegaConf.to_container(params))
    merged: Any = OmegaConf.to_container(OmegaConf.merge(read_parameters(env), known))
    try:
        parameters = check_parameters(merged)
        name = parameters["model"].name
        if has_model and not is_factory(name) and not name.endswith(".json"):
            check_model(parameters, ROOT, None)
            for method in ("lth", "ltr"):
                if "layer_rates" in known.get(method, {}).get("extraction", {}):
                    check_method(method, parameters, look_ahead(parameters, ROOT, None))
    except (ParametersError, ValueError) as error:
        return str(error)
    return ""


@cache
def read_parameters(env: str | None) -> Any:
    """Read the parameters of an experiment, as a run does."""
    loader = ExperimentConfigLoader(str(ROOT / "conf"), env=env, runtime_params={}, **CONFIG_LOADER_ARGS)
    return loader["parameters"]


def drop_placeholders(params: dict[str, Any], path: str = "") -> dict[str, Any]:
    """Leave out what a reader must fill in; the key must be known all the same."""
    kept: dict[str, Any] = {}
    for key, value in params.items():
        place = f"{path}.{key}".removeprefix(".")
        if isinstance(value, dict):
            kept[key] = drop_placeholders(value, place)
        elif not (isinstance(value, str) and PLACEHOLDER.search(value) and place in TYPES):
            kept[key] = value
    return kept


def fault_of_setting(text: str) -> str:
    """Say what is wrong with ``a.b=c`` or ``b: c``, where b may be a key of any group."""
    if re.search(r",\s*[\w.]+=", text):
        return fault_of_command(f"--params '{text}'")
    key, mark, written = re.match(r"([\w.]+)(=|: )(.*)", text, re.DOTALL).groups()  # type: ignore[union-attr]
    whole = mark == "=" and ("." in key or key in TYPES)
    paths = [path for path in TYPES if path == key or (not whole and path.endswith(f".{key}"))]
    if not paths:
        return f"unknown parameter {key}"
    typed = mark == "=" and key in (*NAMES, *OPTIONAL_NAMES)
    value = read_name(key, written) if typed else yaml.safe_load(written)
    faults = [fault_of_value(path, value) for path in paths]
    return "" if PLACEHOLDER.search(written) or not all(faults) else faults[0]


def fault_of_value(path: str, value: Any) -> str:
    """Say what is wrong with a value of a field by itself."""
    kind = TYPES[path]
    try:
        if path == "model.name":
            check_choice(value)
        elif path == "data.source" and value not in SOURCES:
            return f"{value} is not a source"
        TypeAdapter(kind).validate_python(read_lists(kind, value))
    except (ValidationError, ValueError) as error:
        return f"{path}={value}: {error}"
    return ""


# Comments of the configuration ------------------------------------------------------------------------------


def read_comments(text: str, place: str = "") -> Iterator[Comment]:
    """Yield what comments say about keys; lines ``#   key: value`` stand for keys of the next one."""
    above: list[str] = []
    keys: list[tuple[int, str]] = []
    for line in text.splitlines():
        if found := re.match(r"\s*#(.*)", line):
            above.append(found[1])
            continue
        found = re.match(r"(\s*)(?:- )?([\w]+):(.*)", line)
        if not found:
            above = []
            continue
        keys = [(depth, key) for depth, key in keys if depth < len(found[1])] + [(len(found[1]), found[2])]
        path = ".".join(key for _, key in keys)
        nested = [re.match(r"\s{2,}(\w+: \S+)(.*)", said) for said in above]
        for said in filter(None, nested):
            key, value = said[1].split(": ")
            yield Comment(place, f"{path}.{key}", f"[{value}] {said[2]}")
        plain = [said for said, key in zip(above, nested, strict=True) if not key]
        yield Comment(place, path, " ".join(plain))
        _, _, beside = found[3].partition(" # ")
        yield Comment(place, path, beside)
        above = []


def faults_of_comment(comment: Comment, env: str | None = None) -> Iterator[str]:
    """Yield what is wrong with the choices and the examples of values in a comment."""
    text = re.sub(r"kedro run .*|--params.*|pixels are in \[0, 1\]", "", comment.text)
    if comment.path not in TYPES:
        return
    is_list = any(
        getattr(part, "__origin__", None) in (list, tuple) for part in list_members(TYPES[comment.path])
    )
    if " | " in text:
        for part in text.split(" | "):
            words = re.findall(r"[\w.:<>-]+", part)
            plain = [word.strip(":.") for word in words]
            values = [[word] if is_list else yaml.safe_load(word) for word in plain]
            if not re.search(r"<|number|epochs|configuration", part) and all(
                fault_of_value(comment.path, value) for value in values
            ):
                yield f"{comment.place}: {comment.path}: none of {words} is allowed"
    for literal in LITERAL.findall(text):
        value = yaml.safe_load(literal)
        if isinstance(value, list) and not is_list:
            value = value[0] if value else None
        params: Any = OmegaConf.create()
        OmegaConf.update(params, comment.path, value)
        if "scope layer" in text:
            OmegaConf.update(params, f"{comment.path.rpartition('.')[0]}.scope", "layer")
        by_itself = comment.path.startswith("pretraining.adversary")
        fault = fault_of_value(comment.path, value) if by_itself else fault_of_parameters(params, env)
        if fault:
            yield f"{comment.place}: {literal}: {fault}"


def find_commands(text: str) -> Iterator[str]:
    """Yield the commands in the comments of a configuration, and the parts that stand for one."""
    lines = [found[1] for line in text.splitlines() if (found := re.search(r"(?:^|\s)#\s?(.*)", line))]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    for found in re.finditer(r"""(?:kedro run)?(?: ?--[a-z]+ (?:"[^"]*"|[^\s`(]+))+""", joined):
        yield found[0].strip().rstrip(".,:;)")
    for found in re.finditer(
        r"[\s(]((?:\w+\.)+\w+=[\w.:/-]*\w)", re.sub(r"(kedro run|--params)[^\n]*", "", joined)
    ):
        yield f"--params {found[1]}"


CONFIGURATIONS = sorted(path for path in (ROOT / "conf").rglob("*.yml") if "local" not in path.parts)


def env_of(path: Path) -> str | None:
    """Return the experiment that a file of the configuration belongs to; None for the base."""
    name = path.relative_to(ROOT / "conf").parts[0]
    return None if name in ("base", "logging.yml") else name
