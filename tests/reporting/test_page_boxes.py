"""The page in a browser, as wide as a desk and as narrow as a phone: measured boxes, no compared pixels."""

from pathlib import Path

import pytest

from tests.reporting.browser import Browser, find_browser, start_browser
from tests.reporting.pages import CLASS, make_page
from tests.reporting.sweeps.studies import render_study
from tests.sweep_files import make_study

MEASURE = Path(__file__).with_name("measure_page.js").read_text(encoding="utf-8")
SORT = """(() => {
  const button = document.querySelectorAll("table.leaderboard th button")[%d];
  button.focus();
  button.click();
  const rows = Array.from(document.querySelector("table.leaderboard").tBodies[1].rows);
  return [button.parentNode.getAttribute("aria-sort"), document.activeElement === button,
          rows.map(row => parseFloat(row.cells[%d].dataset.v))];
})()"""
INK = "getComputedStyle(document.querySelector('.legendtext')).fill"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_nothing_overflows_overprints_or_is_cut(tmp_path: Path) -> None:
    path = find_browser()
    if path is None:
        pytest.skip("no Chromium is installed, so no box of the page was measured")
    page = tmp_path / "report.html"
    page.write_text(make_page(), encoding="utf-8")
    with start_browser(path, tmp_path / "profile") as browser:
        browser.open(page, width=1280)
        assert browser.evaluate(MEASURE) == []
        _check_that_tables_sort(browser)
        light = browser.evaluate(INK)
        browser.open(page, width=390, dark=True)
        assert browser.evaluate(MEASURE) == []
        assert browser.evaluate("innerWidth") == 390
        assert CLASS in browser.evaluate("document.querySelector('h1').textContent")
        assert browser.evaluate("document.querySelectorAll('a[href=x]').length") == 0
        assert browser.evaluate(INK) != light, "the figures are not dark"
        assert browser.complaints == []


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_nothing_of_a_sweep_overflows_overprints_or_is_cut(tmp_path: Path) -> None:
    path = find_browser()
    if path is None:
        pytest.skip("no Chromium is installed, so no box of the page was measured")
    points, files = make_study(seeds=3, experiments=("base", "cifar10"), start=("rewind", "init"))
    files[0] = {"state": "failed", "attempts": 3, "error": f"The loss is not finite in {'layer' * 40}."}
    page = tmp_path / "report.html"
    page.write_text(render_study(points, files, title="w" * 90), encoding="utf-8")
    with start_browser(path, tmp_path / "profile") as browser:
        for width, dark in ((1280, False), (390, True)):
            browser.open(page, width=width, dark=dark)
            assert browser.evaluate(MEASURE) == []
        assert browser.complaints == []


def _check_that_tables_sort(browser: Browser) -> None:
    column = 3  # test accuracy
    state, has_focus, falling = browser.evaluate(SORT % (column, column))
    assert (state, has_focus) == ("descending", True)
    assert falling == sorted(falling, reverse=True)
    state, _, rising = browser.evaluate(SORT % (column, column))
    assert state == "ascending"
    assert rising == sorted(falling)
    assert len(set(rising)) > 2
