"""Where a report comes from."""

from pathlib import Path

import pytest
from git import Actor, Repo

from lottery_pipeline.pipelines.reporting.provenance import find_command, find_commit, list_versions


@pytest.mark.parametrize(
    ("arguments", "command"),
    [
        (["/opt/env/bin/kedro", "run", "--params", "seed=1,data.root=my images"], None),
        (["/opt/kedro/__main__.py", "run"], "kedro run"),
        (["/opt/src/lottery_pipeline/__main__.py", "--env", "test"], "python -m lottery_pipeline --env test"),
        (["/opt/env/bin/pytest", "-q"], ""),
        (["/opt/other/__main__.py", "run"], ""),
        ([""], ""),
    ],
)
def test_the_command_is_kedros_without_the_folder_of_the_program(
    arguments: list[str], command: str | None
) -> None:
    quoted = "kedro run --params 'seed=1,data.root=my images'"
    assert find_command(arguments) == (quoted if command is None else command)


def test_a_password_in_the_command_is_hidden() -> None:
    told = find_command(["kedro", "run", "--params", "x=http://ada:geheim123@host/path"])
    assert "geheim123" not in told
    assert "@host/path" in told


def test_the_commit_is_that_of_the_code_and_says_whether_it_was_changed(tmp_path: Path) -> None:
    code, stranger = tmp_path / "code.py", tmp_path / "installed.py"
    code.write_text("1")
    assert find_commit(code) == "", "not under git"
    ada = Actor("Ada", "ada@example.org")
    with Repo.init(tmp_path) as repository:
        assert find_commit(code) == "", "nothing is committed"
        repository.index.add(["code.py"])
        commit = repository.index.commit("first", author=ada, committer=ada).hexsha
    assert find_commit(code) == commit
    code.write_text("2")
    assert find_commit(code) == f"{commit}, with changes that are not committed"
    stranger.write_text("3")
    assert find_commit(stranger) == "", "a file that only lies in the repository"


def test_versions_are_those_that_are_installed() -> None:
    import torch

    assert torch.__version__.startswith(list_versions()["torch"])
    assert list(list_versions())[:2] == ["python", "lottery_pipeline"]
