"""Cells that a spreadsheet would take for a formula."""

from itertools import product
from pathlib import Path

import pandas as pd
import pytest

from lottery_pipeline.datasets.cells import protect, restore
from lottery_pipeline.datasets.records import TableDataset

FORMULAS = [
    "=1+1",
    "+cmd|' /C calc'!A0",
    "-2+3",
    "@SUM(A1)",
    "\tx",
    ' "=1',
    "'=1",
    "''=1",
    "  =1",
    "＝1",
    "-",
    "'-1",
    "'\tx",
]
PLAIN = ["cat", "007", "-1", "+0.5", "-1e3", "a=b", "o'clock", "'quoted'", "", "é", "1-2", "a; b", "a;-1"]


@pytest.mark.parametrize("text", FORMULAS)
def test_a_formula_is_written_as_text_and_read_as_it_was(text: str) -> None:
    assert protect(text) == f"'{text}"
    assert restore(protect(text)) == text


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("a;=1+1", "a;'=1+1"),
        (";@SUM(A1)", ";'@SUM(A1)"),
        ("=1; +x;-2", "'=1;' +x;-2"),
        ("a;'=1", "a;''=1"),
        ("a\t=1", "a\t'=1"),
        ('a\n"=1', "a\n'\"=1"),
        ("\r=1", "'\r'=1"),
    ],
)
def test_a_formula_behind_a_separator_is_no_formula_where_the_file_is_divided_there(
    text: str, written: str
) -> None:
    assert protect(text) == written
    assert restore(written) == text


def test_every_text_comes_back_as_it_was() -> None:
    texts = {"".join(letters) for length in range(5) for letters in product("';=-1 \n\tx", repeat=length)}
    assert all(restore(protect(text)) == text for text in texts)
    assert len({protect(text) for text in texts}) == len(texts)


@pytest.mark.parametrize("text", PLAIN)
def test_numbers_and_plain_text_stay(text: str) -> None:
    assert protect(text) == text
    assert restore(text) == text


def test_a_table_comes_back_as_it_was_and_its_numbers_are_untouched(tmp_path: Path) -> None:
    table = pd.DataFrame({"class": [*FORMULAS[:3], "cat", float("nan")], "=x": [-1.5, 2.0, None, -0.25, 1.0]})
    dataset = TableDataset(filepath=str(tmp_path / "a.csv"), text_columns=["class"])
    dataset.save(table)
    lines = (tmp_path / "a.csv").read_text().splitlines()
    assert lines[:3] == ["class,'=x", "'=1+1,-1.5", "'+cmd|' /C calc'!A0,2.0"]
    fresh = TableDataset(filepath=str(tmp_path / "a.csv"), text_columns=["class"]).load()
    pd.testing.assert_frame_equal(fresh, table, check_dtype=False)
