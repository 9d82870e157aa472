"""The headline of a report page: what it says above its first section of text."""

from html.parser import HTMLParser
from pathlib import Path

_LONGEST_HEAD = 200_000  # characters; the figures come later and are large
_NAMES = ("dt", "name")
_VALUES = ("dd", "value")


def read_headline(path: Path) -> dict[str, str]:
    """Read title, leading sentence, facts and headline numbers from the top of a report.

    Args:
        path: an HTML page with the classes of ``report.html.j2``; other pages may give less.

    Returns:
        Values by name, in the order of the page.
    """
    with path.open(encoding="utf-8") as file:
        head = file.read(_LONGEST_HEAD)
    reader = _HeadlineReader()
    reader.feed(head)
    return reader.values


class _HeadlineReader(HTMLParser):
    """Collect ``dt`` and ``dd``, or elements of class ``name`` and ``value``, that share a ``div``."""

    def __init__(self) -> None:
        super().__init__()
        self.values: dict[str, str] = {}
        self._pair: dict[str, str] = {}
        self._open = ""  # where text goes: name, value, title or lead
        self._done = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        kinds = (tag, *(dict(attrs).get("class") or "").split())
        if tag == "h2":
            self._done = True
        elif tag == "div":
            self._pair = {}
        elif tag == "h1" or "lead" in kinds:
            self._open = "title" if tag == "h1" else "finding"
        elif any(kind in _NAMES for kind in kinds):
            self._open = "name"
        elif any(kind in _VALUES for kind in kinds):
            self._open = "value"

    def handle_endtag(self, tag: str) -> None:
        if tag in ("dt", "dd", "span", "h1", "p"):
            self._open = ""
        if tag == "div" and len(self._pair) == 2:
            self.values[_squeeze(self._pair["name"])] = _squeeze(self._pair["value"])

    def handle_data(self, data: str) -> None:
        if self._done or not self._open:
            return
        if self._open in ("name", "value"):
            self._pair[self._open] = self._pair.get(self._open, "") + data
        else:
            self.values[self._open] = _squeeze(self.values.get(self._open, "") + data)


def _squeeze(text: str) -> str:
    return " ".join(text.split())
