"""The documents: short, without dead links, and every command, snippet and path in them works."""

import ast
import importlib
import json
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lottery_pipeline.cli import run as kedro_run
from lottery_pipeline.images.preparation import prepare_images
from lottery_pipeline.images.request import ImageError, ImageRequest
from lottery_pipeline.images.sources import check_request
from lottery_pipeline.parameters import METHOD_GROUPS, ParametersError, check_parameters
from lottery_pipeline.pipeline_registry import register_pipelines
from lottery_pipeline.reproducibility.seeds import make_generator
from lottery_pipeline.settings import CONFIG_LOADER_ARGS, ExperimentConfigLoader
from tests.kedro_project import ROOT
from tests.tiny import draw_ticket

README = ROOT / "README.md"
CONTRIBUTING = ROOT / "CONTRIBUTING.md"
PAGES = sorted((ROOT / "docs").glob("*.md"))
DOCUMENTS = [README, CONTRIBUTING, *PAGES]
HISTORY = ROOT / "docs" / "pipeline_and_history.md"  # needs runs: tests/tracking/test_whole_run.py has them
SNIPPET_DOCUMENTS = [
    path for path in (README, *PAGES) if "```python" in path.read_text(encoding="utf-8") and path != HISTORY
]
TOY = "force"  # the method that CONTRIBUTING adds; a test of its own runs that
SCRIPTS = sorted(
    path for path in (ROOT / "benchmarks").rglob("*.py") if 'if __name__ == "__main__"' in path.read_text()
)
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]\n]*\]\(([^)\s]+)\)")
SPAN = re.compile(r"`([^`\n]+)`")

every_document = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)


def read(document: Path) -> str:
    return document.read_text(encoding="utf-8")


def blocks(document: Path, language: str) -> list[str]:
    return [text for found, text in FENCE.findall(read(document)) if found == language]


def without_fences(text: str) -> str:
    return FENCE.sub("", text)


def anchors(document: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", without_fences(read(document)), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


# README and links -------------------------------------------------------------------------------------------


def test_the_readme_is_short_and_shows_the_two_commands() -> None:
    assert len(README.read_bytes()) <= 8192
    assert {"make run", "make test"} <= {line.split("  ")[0] for line in blocks(README, "")[0].splitlines()}


def test_the_readme_shows_one_picture_and_leads_to_every_page() -> None:
    targets = LINK.findall(read(README))
    assert [target for target in targets if target.endswith(".png")] == ["docs/images/report.png"]
    assert {f"docs/{page.name}" for page in PAGES} | {"CONTRIBUTING.md", "LICENSE"} <= set(targets)


@every_document
def test_every_relative_link_leads_somewhere(document: Path) -> None:
    for target in LINK.findall(without_fences(read(document))):
        if not target.startswith(("http://", "https://")):
            name, _, anchor = target.partition("#")
            place = (document.parent / name).resolve() if name else document
            assert place.exists(), target
            assert not anchor or anchor in anchors(place), target


def test_every_picture_is_shown() -> None:
    shown = {Path(target).name for document in DOCUMENTS for target in LINK.findall(read(document))}
    assert {path.name for path in (ROOT / "docs" / "images").iterdir()} <= shown


# Commands ---------------------------------------------------------------------------------------------------


def list_commands(document: Path) -> Iterator[tuple[str, str | None]]:
    """Yield each command of a document, and the error that it is shown with."""
    for block in blocks(document, ""):
        lines = block.replace("\\\n", " ").splitlines()
        for line, following in zip(lines, [*lines[1:], ""], strict=True):
            error = following.removeprefix("Error: ") if following.startswith("Error: ") else None
            yield line.removeprefix("$ ").strip(), error
    for span in SPAN.findall(without_fences(read(document))):
        yield span, None


def find_kedro_runs() -> list[Any]:
    return [
        pytest.param(command, error, id=f"{document.name}: {command}")
        for document in DOCUMENTS
        for command, error in list_commands(document)
        if command.startswith("kedro run")
    ]


PIPELINES = set(register_pipelines())


def parse(command: str) -> dict[str, Any]:
    """Parse a command as Kedro does."""
    arguments = shlex.split(command, comments=True)[2:]
    return dict(kedro_run.make_context("run", arguments).params)


def complain(env: str | None, params: dict[str, Any]) -> str:
    """Return what the checks before a run say to these parameters."""
    loader = ExperimentConfigLoader(str(ROOT / "conf"), env=env, runtime_params=params, **CONFIG_LOADER_ARGS)
    try:
        checked = check_parameters(loader["parameters"])
        check_request(checked["data"])
    except ParametersError as error:
        return str(error)
    except ImageError as error:
        return f"Parameter data: {error}."
    return ""


@pytest.mark.parametrize(("command", "error"), find_kedro_runs())
def test_every_kedro_run_names_pipelines_experiments_and_parameters_that_exist(
    command: str, error: str | None
) -> None:
    options = parse(command)
    assert set(options["pipelines"]) <= PIPELINES | {TOY}
    env = options["env"]
    assert env is None or (ROOT / "conf" / env).is_dir()
    complaint = complain(env, options["params"])
    if error is not None:
        assert complaint == error
    else:
        # The images of the reader are not on this machine.
        assert not complaint or re.match(r"Parameter data: .*(/path/to/|my\.npz|is not under)", complaint)


@every_document
def test_every_make_target_is_in_the_makefile(document: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", read(ROOT / "Makefile"), re.MULTILINE))
    for command, _ in list_commands(document):
        if command.startswith("make "):
            assert command.split()[1] in targets, command


# Snippets ---------------------------------------------------------------------------------------------------


@pytest.fixture
def prepared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the snippets take for granted: the file of a ticket, a model, images and labels."""
    monkeypatch.chdir(tmp_path)
    ticket = draw_ticket()
    ticket.save("ticket_of_the_reader.safetensors")
    images = torch.rand(12, 1, 3, 3, generator=make_generator(0, "documents"))
    return {
        "__name__": "__main__",
        "path": "ticket_of_the_reader.safetensors",
        "model": ticket.build(),
        "images": images,
        "labels": torch.arange(12) % 3,
    }


@pytest.mark.parametrize("document", SNIPPET_DOCUMENTS, ids=lambda path: path.name)
def test_the_snippets_of_a_document_run_one_after_another(
    document: Path, prepared: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    for number, block in enumerate(blocks(document, "python"), start=1):
        exec(compile(block, f"{document.name}, snippet {number}", "exec"), prepared)
    assert "Traceback" not in capsys.readouterr().err


def test_the_arrays_of_the_document_are_images(prepared: dict[str, Any]) -> None:
    exec(blocks(ROOT / "docs" / "own_images.md", "python")[0], prepared)
    images = prepare_images(ImageRequest(source="arrays", root="my.npz"), seed=0)
    assert (images.num_classes, images.channels, images.image_size) == (4, 3, (12, 12))


def test_the_model_of_the_document_maps_images_to_logits(prepared: dict[str, Any]) -> None:
    exec(blocks(ROOT / "docs" / "own_model.md", "python")[0], prepared)
    network = prepared["make"](num_classes=5, channels=1, image_size=(3, 3))
    assert network(prepared["images"]).shape == (12, 5)


def test_a_score_keeps_as_many_weights_as_the_document_says(prepared: dict[str, Any]) -> None:
    for block in blocks(ROOT / "docs" / "python.md", "python")[:2]:
        exec(block, prepared)
    assert sum(int(np.asarray(mask).sum()) for mask in prepared["masks"].values()) == 1000


# Paths and names --------------------------------------------------------------------------------------------


@every_document
def test_every_file_that_is_named_exists(document: Path) -> None:
    text = without_fences(read(document)).replace("../", "")
    for name in re.findall(r"(?<![\w/<>.-])((?:[\w.-]+/)+[\w-]+\.(?:py|yml|ipynb|md))\b", text):
        if not name.startswith("my_package/"):
            places = (ROOT / name, ROOT / "src" / "lottery_pipeline" / name, document.parent / name)
            assert any(place.exists() for place in places), name


@every_document
def test_every_module_that_is_named_exists(document: Path) -> None:
    text = read(document)
    for name in re.findall(r"\bbenchmarks(?:\.[a-z]\w*)+", text):
        place = ROOT / Path(*name.split("."))
        assert place.is_dir() or place.with_suffix(".py").is_file(), name
    for name in re.findall(r"\blottery_pipeline(?:\.[a-z]\w*)+", without_fences(text)):
        importlib.import_module(name)


def test_the_table_of_methods_has_a_row_for_each_method_and_names_its_file() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| `(methods/[\w/]+\.py)`", read(ROOT / "docs/methods.md"), re.M))
    assert set(rows) == set(METHOD_GROUPS)
    for file in rows.values():
        assert (ROOT / "src" / "lottery_pipeline" / file).is_file(), file


def test_the_layout_is_that_of_the_import_contract() -> None:
    project = tomllib.loads(read(ROOT / "pyproject.toml"))
    (contract,) = [c for c in project["tool"]["importlinter"]["contracts"] if c["type"] == "layers"]
    rooms = [set(re.findall(r"\w+", re.sub(r"\(\w+\)", "", layer))) for layer in contract["layers"]]
    rows = re.search(r"^## Layout\n\n.+\n\n((?:    .+\n)+)", read(CONTRIBUTING), re.M)
    assert rows is not None
    drawn = [re.split(r" {2,}", line.strip())[0] for line in rows[1].splitlines()]
    assert [set(line.split(" | ")) for line in drawn] == rooms


# Benchmarks -------------------------------------------------------------------------------------------------


def head(script: Path) -> str:
    return ast.get_docstring(ast.parse(read(script))) or ""


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_the_head_of_a_benchmark_says_how_to_run_it_what_it_found_where_and_how_often(script: Path) -> None:
    module = ".".join(script.relative_to(ROOT).with_suffix("").parts)
    assert f"python -m {module}" in head(script)
    if "measures nothing" in head(script):
        return
    assert re.search(r"^Found[:,( ].*\d", head(script), re.M | re.S)
    machine = re.search(r"^Machine: (.+?)^Runs: ", head(script), re.M | re.S)
    assert machine is not None
    results = [json.loads(path.read_text())["environment"] for path in (script.parent / "results").iterdir()]
    recorded = {str(result[part]) for result in results for part in ("processor", "gpu")} - {"None"}
    words = " ".join(machine[1].split())
    assert any(name.replace("(R)", "").removesuffix(" Processor") in words for name in recorded)
    assert re.search(r"^Runs: .*\b(seed|seeds|rounds|turns)\b", head(script), re.M | re.S)


def test_a_benchmark_keeps_its_results_beside_it() -> None:
    for script in SCRIPTS:
        for name in re.findall(r"\bresults/([\w.-]+\.json)", head(script)):
            assert (script.parent / "results" / name).is_file(), name
