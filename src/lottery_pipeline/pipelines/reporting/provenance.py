"""Where a report comes from: the command, the commit of the code, and the versions of the libraries."""

import shlex
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from platform import python_version

import lottery_pipeline
from lottery_pipeline.tracking.passwords import Passwords

LIBRARIES = ("lottery_pipeline", "kedro", "mlflow", "numpy", "pandas", "plotly", "torch", "torchvision")
_CHANGED = ", with changes that are not committed"


def find_command(arguments: Sequence[str] = sys.argv) -> str:
    """Return the command that this process runs, without passwords; empty if it is not Kedro's.

    Args:
        arguments: the program, which may be Kedro or this package as a module, and its arguments.
    """
    program = Path(arguments[0])
    of_kedro = program.stem == "kedro"
    as_module = program.name == "__main__.py" and program.parent.name in ("kedro", "lottery_pipeline")
    if not (of_kedro or as_module):
        return ""
    name = "kedro" if of_kedro or program.parent.name == "kedro" else "python -m lottery_pipeline"
    return Passwords().hide(shlex.join([*name.split(), *arguments[1:]]))


def find_commit(file: Path = Path(lottery_pipeline.__file__)) -> str:
    """Return the commit of the code, and whether it was changed since; empty if it is not under git.

    Args:
        file: one of the code; git must know it, for an environment may lie in somebody else's repository.
    """
    try:
        from git import GitCommandError, InvalidGitRepositoryError, Repo
    except ImportError:  # git is not installed
        return ""
    try:
        with Repo(file.parent, search_parent_directories=True, expand_vars=False) as repository:
            repository.git.ls_files("--error-unmatch", str(file))
            changed = repository.is_dirty(untracked_files=True)
            return repository.head.commit.hexsha + (_CHANGED if changed else "")
    except (InvalidGitRepositoryError, GitCommandError, ValueError):  # the last: nothing is committed yet
        return ""


def list_versions() -> dict[str, str]:
    """Return the versions of Python and of the libraries that results depend on."""
    return {"python": python_version(), **{name: version(name) for name in LIBRARIES}}
