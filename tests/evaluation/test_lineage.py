"""Lineage: records that name their ticket, and strangers that are refused."""

from pathlib import Path

import pytest
from kedro.framework.session import KedroSession

from lottery_pipeline.evaluation.lineage import (
    LineageError,
    check_record,
    check_results,
    check_rows,
    mark_record,
    mark_rows,
)
from lottery_pipeline.hooks.requests import RunFailedError
from tests.kedro_project import ROOT, load_catalog, redirected, run

OURS, THEIRS, TRAINED = "a" * 64, "b" * 64, "c" * 64


def test_a_record_of_the_ticket_at_hand_is_read_as_it_was() -> None:
    assert check_record("ltr.search", mark_record({"search_epochs": 2.0}, OURS), OURS) == {
        "search_epochs": 2.0
    }
    assert check_rows("ltr.history", mark_rows([{"step": 1}, {"step": 2}], OURS), OURS) == [
        {"step": 1},
        {"step": 2},
    ]


def test_a_strangers_search_record_is_refused_in_one_sentence() -> None:
    with pytest.raises(LineageError) as caught:
        check_record("ltr.search", mark_record({"search_epochs": 2.0}, THEIRS), OURS)
    text = str(caught.value)
    assert text.startswith(
        "ltr.search belongs to another ticket (bbbbbbbbbbbb), not to this one (aaaaaaaaaaaa)"
    )
    assert "`kedro run --pipelines ltr`" in text
    assert "\n" not in text


def test_one_strange_row_is_enough() -> None:
    rows = [*mark_rows([{"step": 1}], OURS), *mark_rows([{"step": 2}], THEIRS)]
    with pytest.raises(LineageError, match=r"^ltr\.history belongs"):
        check_rows("ltr.history", rows, OURS)


def test_records_of_an_older_version_are_accepted() -> None:
    assert check_record("ltr.search", {"search_epochs": 2.0}, OURS) == {"search_epochs": 2.0}
    check_results({"ltr.metrics": {"fingerprint": TRAINED}, "ltr.controls": mark_rows([{"rung": 1}], THEIRS)})


def test_the_parts_of_a_result_belong_to_its_metrics() -> None:
    results = {
        "ltr.metrics": mark_record({"fingerprint": TRAINED}, OURS),
        "ltr.history": mark_rows([{"step": 1}], TRAINED),
        "ltr.ladder_table": mark_rows([{"rung": 1}], TRAINED),
        "ltr.controls": mark_rows([{"rung": 1}], OURS),
        "cts.metrics": None,
        "cts.history": mark_rows([{"step": 1}], THEIRS),
        "snip.metrics": mark_record({"fingerprint": TRAINED}, OURS),
    }
    check_results(results)
    for part in ("history", "ladder_table", "controls"):
        with pytest.raises(LineageError, match=rf"^ltr\.{part} belongs"):
            check_results({**results, f"ltr.{part}": mark_rows([{"rung": 1}], THEIRS)})


def test_a_node_that_reads_a_strangers_record_stops_the_run(tmp_path: Path) -> None:
    with redirected(tmp_path):
        run("snip")
        search = load_catalog().get("snip.search")
        search.save(mark_record(search.load(), THEIRS))
        with (
            KedroSession.create(ROOT, env="test") as session,
            pytest.raises(RunFailedError, match=r"^LineageError: snip\.search belongs to another ticket"),
        ):
            session.run(pipeline_names=["snip"], node_names=["snip.evaluate_ticket"])
