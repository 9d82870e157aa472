"""The scripts of the page."""

import re
from base64 import b64encode
from hashlib import sha256
from html import unescape

from tests.reporting.rendering import render


def test_the_policy_lets_the_scripts_of_the_page_run_and_no_other():
    text = render()
    policy = re.search(r"script-src ([^;]*);", unescape(text)).group(1)
    scripts = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    sums = [b64encode(sha256(script.encode()).digest()).decode() for script in scripts]
    assert policy.split() == [f"'sha256-{digest}'" for digest in sums]
    assert len(scripts) == 3, "tables, plotly, figures"
    for own in (scripts[0], scripts[2]):  # the last of two functions of one name would count
        names = re.findall(r"^ *function (\w+)\(", own, re.MULTILINE)
        assert len(names) == len(set(names)) > 0


def test_plotly_is_in_the_page_once():
    text = render()
    assert text.count("plotly.js v") == 1


def test_without_figures_the_page_is_small():
    assert len(render(figures={})) < 60_000
