"""The project's commands: ``kedro sweep``, and a ``kedro run`` that reads ``--params`` as they were typed.

A comma inside a list does not end a parameter: ``a=1,2,b=3``. A name such as ``0.10`` is not a number.
"""

import copy
from typing import Any

import click
import yaml  # type: ignore[import-untyped]
from kedro.framework.cli.project import run as kedro_run
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from lottery_pipeline.parameter_names import NAMES, OPTIONAL_NAMES
from lottery_pipeline.sweeps.command import make_sweep


def split_parameters(text: str) -> list[str]:
    """Divide ``key=value,key=value`` at the commas before a key; those inside a list or dict stay."""
    items: list[str] = []
    for part in text.split(","):
        inside = bool(items) and any(
            items[-1].count(opened) > items[-1].count(shut) for opened, shut in ("[]", "{}")
        )
        if items and (inside or "=" not in part):
            items[-1] += f",{part}"
        else:
            items.append(part.strip())
    return [item.rstrip(", ") for item in items if item.strip(", ")]


def read_name(name: str, text: str) -> str | None:
    """Return a name as it was typed: 0.10 is not the number 0.1. Quotes around it are left out."""
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        return text[1:-1]
    return None if name in OPTIONAL_NAMES and text in ("", "null", "~") else text


def read_parameters(context: click.Context, _option: click.Parameter, text: Any) -> Any:
    """Read the value of ``--params``; what is a dict already stays as it is.

    Raises:
        BadParameter: a part has no key, or its value cannot be read; one sentence.
    """
    if isinstance(text, dict):
        return text
    read: Any = OmegaConf.create()
    for item in split_parameters(text):
        key, equals, value = item.partition("=")
        if not equals or not key.strip():
            raise click.BadParameter(f"{item!r} must be a key and a value, such as seed=1", context)
        try:
            name = key.strip()
            if name in (*NAMES, *OPTIONAL_NAMES):
                OmegaConf.update(read, name, read_name(name, value))
            else:
                read = OmegaConf.merge(read, OmegaConf.from_dotlist([f"{name}={value}"]))
        except (OmegaConfBaseException, yaml.YAMLError) as error:
            reason = str(error).splitlines()[0]
            raise click.BadParameter(
                f"{value!r} of {key.strip()} cannot be read: {reason}", context
            ) from error
    return OmegaConf.to_container(read)


def check_env(context: click.Context, _option: click.Parameter, name: str | None) -> str | None:
    """Refuse an ``--env`` without a name: Kedro would take it as not given."""
    if name is not None and not name.strip():
        raise click.BadParameter("the name of an experiment is empty", context)
    return name


def _make_run() -> click.Command:
    command = copy.copy(kedro_run)
    command.params = [copy.copy(option) for option in command.params]
    for option in command.params:
        if option.name == "params":
            option.callback = read_parameters
        if option.name == "env":
            option.callback = check_env
    return command


@click.group(name="lottery_pipeline")
def cli() -> None:
    """Commands of this project."""


run = _make_run()
cli.add_command(run)
cli.add_command(make_sweep(read_parameters, check_env))
