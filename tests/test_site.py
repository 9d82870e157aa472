"""The site that ``make docs`` builds: whole, without a warning, and without anything from the network."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kedro_project import ROOT

PICTURES = ("pipeline.png", "method.png", "mlflow.png", "comparison.png", "model.png", "report.png")
FETCHED = re.compile(
    r"""<(?:script|link|img|iframe|source)\b[^>]*?\b(?:src|href)=["']?(?:https?:)?//[^\s"'>]*|@import[^;]*|url\(["']?(?:https?:)?//[^)]*"""
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site."""
    folder = tmp_path_factory.mktemp("site")
    result = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--site-dir", str(folder)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert "WARNING" not in result.stderr
    return folder


def read(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def test_every_page_and_notebook_is_in_the_navigation_of_the_site(site: Path) -> None:
    pages = [path.relative_to(ROOT / "docs") for path in (ROOT / "docs").rglob("*.md")]
    pages += [path.relative_to(ROOT) for path in (ROOT / "notebooks").glob("*.ipynb")]
    wanted = {str(path.with_suffix(".html")) for path in pages}
    wanted |= {"CONTRIBUTING.html", "CHANGELOG.html", "LICENSE.html", "conf/base/parameters.html"}
    start = read(site / "index.html")
    assert "nine kinds of ticket" in start, "the first page is the README"
    navigation = set(re.findall(r'<a href="([^"]+)" class="md-nav__link', start))
    sections = {str(path.relative_to(site)) for name in wanted if (path := site / name).is_file()}
    assert sections == wanted
    assert wanted <= navigation


def test_links_to_files_of_the_project_lead_to_pages_of_the_site(site: Path) -> None:
    assert 'href="conf/base/mlflow.html"' in read(site / "pipeline_and_history.html")
    assert 'href="CONTRIBUTING.html#add-a-method"' in read(site / "python.html")
    assert "tracking_uri" in read(site / "conf/base/mlflow.html")
    assert "python -m benchmarks.cts.cts_vs_ltr" in read(site / "benchmarks.html")


def test_the_site_shows_what_viz_mlflow_and_the_report_show(site: Path) -> None:
    shown = "".join(read(page) for page in site.glob("*.html"))
    for name in PICTURES:
        assert f'src="images/{name}"' in shown
        assert (site / "images" / name).is_file()


def test_a_public_name_has_its_signature_and_its_docstring(site: Path) -> None:
    text = re.sub(r"<[^>]+>", "", read(site / "reference/tickets.html"))
    assert "lottery_pipeline.sparsity.keep_top_k" in text
    assert "Keep the k weights with the highest scores" in text


def test_the_site_fetches_nothing_from_the_network(site: Path) -> None:
    files = [*site.rglob("*.html"), *site.rglob("*.css")]
    assert {found for path in files for found in FETCHED.findall(read(path))} == set()
    assert FETCHED.search('<script async src="https://example.org/x.js">')
    assert FETCHED.search("a { background: url(//example.org/x.png) }")


def test_every_list_and_table_is_shown_as_one(site: Path) -> None:
    for page in site.rglob("*.html"):
        for paragraph in re.findall(r"<p>(.*?)</p>", read(page), re.DOTALL):
            assert not re.search(r"^(?:- |\d+\. |\|)", paragraph, re.MULTILINE), (page.name, paragraph)
