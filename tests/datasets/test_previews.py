"""What Kedro-Viz is shown of each file, also of one that is missing or damaged."""

import json
from pathlib import Path

import pytest

from lottery_pipeline.datasets.dense_run import DenseRunDataset
from lottery_pipeline.datasets.images import ImageSplitsDataset
from lottery_pipeline.datasets.previews import tabulate
from lottery_pipeline.datasets.records import (
    FigureDataset,
    HistoryDataset,
    RecordDataset,
    RowsDataset,
    TableDataset,
    TextDataset,
)
from lottery_pipeline.datasets.tickets import LadderDataset, TicketDataset
from lottery_pipeline.images.profile import draw_samples
from tests.tiny import draw_images, extract, pretrain_tiny

TABLES = (
    RecordDataset,
    RowsDataset,
    TableDataset,
    TextDataset,
    TicketDataset,
    LadderDataset,
    DenseRunDataset,
)
FIGURES = (HistoryDataset, FigureDataset, ImageSplitsDataset)

PAGE = """<!doctype html><html><head><title>other</title><style>p.lead {}</style></head><body>
<header><h1>digits · resnet20</h1><p class="lead">With 2% of the weights,
  LTR &gt; dense.</p><dl class="facts"><div><dt>Seed</dt><dd>0</dd></div></dl></header>
<div class="card"><span class="value">98.6%</span><span class="name">best ticket, <em>LTR</em></span></div>
<h2>Glossary</h2><dl><div><dt>Ticket</dt><dd>A mask</dd></div></dl></body></html>"""


@pytest.fixture(scope="module")
def images():
    return draw_images()


@pytest.fixture(scope="module")
def dense(images):
    return pretrain_tiny(images, "lenet_300_100")


@pytest.mark.parametrize("kind", [*TABLES, *FIGURES])
def test_without_a_file_the_preview_is_empty(kind, tmp_path: Path) -> None:
    assert kind(filepath=str(tmp_path / "none")).preview()["data"] == []


@pytest.mark.parametrize("kind", [*TABLES, *FIGURES])
@pytest.mark.parametrize("content", [b"\xff{", b"", b"\x02\x00\x00\x00\x00\x00\x00\x00{}"])
def test_a_damaged_file_is_never_an_error(kind, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "damaged"
    path.write_bytes(content)
    preview = kind(filepath=str(path)).preview()
    assert len(json.dumps(preview, allow_nan=False)) < 500
    if content == b"\xff{":
        note = preview["layout"]["title"]["text"] if kind in FIGURES else preview["data"][0][0]
        assert note.startswith("this file cannot be shown: ")


def test_numbers_are_short_and_whole_ones_stay_whole() -> None:
    numbers = [0.97771587743, -0.0055710306, 2532992, 2083712.0, 0.0, True, None, "x", float("nan")]
    cells = tabulate([{"number": number} for number in numbers])["data"]
    assert cells == [[0.9777], [-0.005571], [2532992], [2083712.0], [0.0], [True], [None], ["x"], [None]]


def test_the_figure_of_a_file_has_gaps_where_it_is_not_finite(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"data": [{"y": [1, NaN, -Infinity]}], "layout": {}}')
    assert FigureDataset(filepath=str(tmp_path / "a.json")).preview()["data"] == [{"y": [1, None, None]}]


def test_a_ticket_shows_the_whole_network_and_then_its_layers(images, dense, tmp_path: Path) -> None:
    ticket = extract("ltr", images, dense, density=0.25, one_shot=True).ticket
    dataset = TicketDataset(filepath=str(tmp_path / "a"))
    dataset.save(ticket)
    preview = dataset.preview()
    assert preview["columns"] == ["layer", "density", "kept", "prunable", "shape"]
    assert preview["data"][0] == ["whole network", 0.25, 8775, 35100, None]  # 16*300 + 300*100 + 100*3
    assert [row[4] for row in preview["data"][1:]] == ["300x16", "100x300", "3x100"]
    assert sum(row[2] for row in preview["data"][1:]) == 8775


def test_a_ladder_shows_its_rungs_of_which_the_last_is_not_trained_yet(images, dense, tmp_path: Path) -> None:
    ladder = extract("ltr", images, dense, density=0.25, rate=0.5).ladder
    dataset = LadderDataset(filepath=str(tmp_path / "a"))
    dataset.save(ladder)
    preview = dataset.preview()
    assert preview["columns"] == ["rung", "density", "kept", "test_accuracy", "validation_accuracy", "epochs"]
    assert [row[:3] for row in preview["data"]] == [[0, 1.0, 35100], [1, 0.5, 17550], [2, 0.25, 8775]]
    assert preview["data"][1][3] == ladder.rows[1]["test_accuracy"]
    assert preview["data"][2][3:] == [None, None, None]


def test_a_dense_run_shows_its_size_and_results(dense, tmp_path: Path) -> None:
    dataset = DenseRunDataset(filepath=str(tmp_path / "a"))
    dataset.save(dense)
    shown = dict(dataset.preview()["data"])
    assert list(shown)[:5] == ["model", "layers", "parameters", "prunable", "test_accuracy"]
    assert (shown["layers"], shown["parameters"], shown["prunable"]) == (3, 35503, 35100)
    assert (shown["test_accuracy"], shown["epochs"]) == (dense.metrics["test_accuracy"], 3.0)


def test_the_model_of_a_user_is_not_built_for_a_preview(images, tmp_path: Path) -> None:
    dataset = DenseRunDataset(filepath=str(tmp_path / "a"))
    dataset.save(pretrain_tiny(images))
    shown = dict(dataset.preview()["data"])
    assert shown["prunable"] == 194
    assert "layers" not in shown


def test_images_are_shown_as_a_drawing_of_all_of_them_would_show_them(images, tmp_path: Path) -> None:
    dataset = ImageSplitsDataset(filepath=str(tmp_path / "a"))
    dataset.save(images)
    expected = json.loads(draw_samples(images, per_class=2, max_classes=2).to_json())
    assert dataset.preview(per_class=2, max_classes=2) == expected


def test_a_report_shows_its_headline(tmp_path: Path) -> None:
    dataset = TextDataset(filepath=str(tmp_path / "report.html"))
    dataset.save(PAGE)
    assert dataset.preview()["data"] == [
        ["title", "digits · resnet20"],
        ["finding", "With 2% of the weights, LTR > dense."],
        ["Seed", "0"],
        ["best ticket, LTR", "98.6%"],
    ]


def test_a_history_shows_its_curves(tmp_path: Path) -> None:
    dataset = HistoryDataset(filepath=str(tmp_path / "a.json"))
    dataset.save([{"epoch": 1, "train_loss": 0.5}, {"epoch": 2, "train_loss": 0.25}])
    [curve] = dataset.preview()["data"]
    assert (curve["name"], curve["x"], curve["y"]) == ("train", [1, 2], [0.5, 0.25])


def test_the_curves_of_a_record_are_those_of_the_part_that_is_asked_for(tmp_path: Path) -> None:
    history = [{"epoch": 1, "step": 5, "train_loss": 2.0}, {"epoch": 2, "step": 10, "train_loss": 1.0}]
    whole, rows = (HistoryDataset(filepath=str(tmp_path / name)) for name in ("record.json", "rows.json"))
    whole.save({"metrics": {"epochs": 2}, "history": history})
    rows.save(history)
    assert whole.preview(part="history") == rows.preview()
    assert "cannot be shown" in str(whole.preview(part="trace"))
