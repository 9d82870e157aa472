"""``python -m lottery_pipeline``: the same as ``kedro run`` in the project folder.

Started by torchrun in several processes, the first one is the run, and the others train with it.
"""

import logging
import signal
import sys
from typing import Any

from lottery_pipeline.training.ranks import ParallelError, Ranks, read_ranks


def main(*args: Any, **kwargs: Any) -> Any:
    """Run the project; takes the arguments of ``kedro run``."""
    try:
        ranks = read_ranks()
        return _run(*args, **kwargs) if ranks is None else _run_together(ranks, *args, **kwargs)
    except ParallelError as error:
        sys.exit(f"Error: {error}")


def _run(*args: Any, **kwargs: Any) -> Any:
    from kedro.framework.cli.utils import find_run_command
    from kedro.framework.project import configure_project

    configure_project("lottery_pipeline")
    # In a notebook click must not end the interpreter.
    kwargs["standalone_mode"] = not hasattr(sys, "ps1")
    return find_run_command("lottery_pipeline")(*args, **kwargs)


def _run_together(ranks: Ranks, *args: Any, **kwargs: Any) -> Any:
    from lottery_pipeline.training.parallel import follow, joined

    with joined(ranks):
        if ranks.rank == 0:
            return _run(*args, **kwargs)
        logging.basicConfig(format=f"%(levelname)s in process {ranks.rank}: %(message)s")
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for rank 0, which takes the others with it
        follow()
    return None


if __name__ == "__main__":
    main()
