"""The sweeps that documents and configuration show can be planned."""

import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from lottery_pipeline.cli import cli
from tests.kedro_project import ROOT, redirected
from tests.sweeps.test_sweep import Metadata

DOCUMENTS = [path for pattern in ("*.md", "docs/*.md", "conf/**/*.yml") for path in ROOT.glob(pattern)]
SWEEPS = {
    found.strip()
    for path in DOCUMENTS
    for found in re.findall(r"^[#\s]*(kedro sweep [^`#\n]+)", path.read_text(encoding="utf-8"), re.M)
}


def test_there_are_some() -> None:
    assert "kedro sweep methods --workers 2" in SWEEPS


@pytest.mark.parametrize("command", sorted(SWEEPS))
def test_a_sweep_that_is_shown_can_be_planned(command: str, tmp_path: Path) -> None:
    words = shlex.split(command.removeprefix("kedro "))
    with redirected(tmp_path):
        result = CliRunner().invoke(cli, [*words, "--dry-run"], obj=Metadata())
    assert result.exit_code == 0, result.output
