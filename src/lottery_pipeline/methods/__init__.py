"""Methods: one entry for each way to find a ticket, and nothing else.

A method is a pure function ``extract_<method>(search, options) -> Extraction``. There may also be a
``check_<method>(outlook, options)``, which refuses what cannot work before anything runs; the ``Outlook`` is
what is known of the search by then, with the network itself on ``trial``. For a ladder it returns the number
of the last rung.
"""

from collections.abc import Callable
from importlib import import_module
from typing import Any

from lottery_pipeline.methods.grasp import grasp_scores
from lottery_pipeline.methods.snip import snip_scores
from lottery_pipeline.methods.synflow import synflow_scores
from lottery_pipeline.options import METHODS as _TABLE
from lottery_pipeline.search.extraction import Extraction, Search
from lottery_pipeline.search.outlook import Outlook

Extract = Callable[[Search, Any], Extraction]
Check = Callable[[Outlook, Any], int | None]

_MODULES = {name: import_module(f"{__name__}.{row.module or name}") for name, row in _TABLE.items()}
METHODS: dict[str, Extract] = {name: getattr(module, f"extract_{name}") for name, module in _MODULES.items()}
CHECKS: dict[str, Check] = {
    name: check for name, module in _MODULES.items() if (check := getattr(module, f"check_{name}", None))
}

__all__ = ["CHECKS", "METHODS", "grasp_scores", "snip_scores", "synflow_scores"]
