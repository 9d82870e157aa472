"""``python -m lottery_pipeline``: the same as ``kedro run`` in the project folder."""

import sys
from typing import Any


def main(*args: Any, **kwargs: Any) -> Any:
    """Run the project; takes the arguments of ``kedro run``."""
    from kedro.framework.cli.utils import find_run_command
    from kedro.framework.project import configure_project

    configure_project("lottery_pipeline")
    # In a notebook click must not end the interpreter.
    kwargs["standalone_mode"] = not hasattr(sys, "ps1")
    return find_run_command("lottery_pipeline")(*args, **kwargs)


if __name__ == "__main__":
    main()
