"""The scripts of the page, each with the sum by which the page's own policy lets it run, and no other."""

import hashlib
from base64 import b64encode
from functools import cache
from pathlib import Path
from typing import NamedTuple

from plotly.offline import get_plotlyjs

FOLDER = Path(__file__).parent


class Script(NamedTuple):
    """A script: its text, and what a Content-Security-Policy calls it (``'sha256-...'``)."""

    text: str
    source: str


@cache
def list_scripts(*, with_figures: bool) -> tuple[Script, ...]:
    """Return the scripts in their order: that of tables, and plotly with that of figures if there are any."""
    texts = [(FOLDER / "table_script.js").read_text(encoding="utf-8")]
    if with_figures:
        texts += [get_plotlyjs(), (FOLDER / "figure_script.js").read_text(encoding="utf-8")]
    return tuple(Script(text, f"'sha256-{_digest(text)}'") for text in texts)


def _digest(text: str) -> str:
    return b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")
