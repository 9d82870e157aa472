"""Lineage: records that name their ticket, and strangers that are refused."""

from pathlib import Path
from typing import Any

import pytest
from kedro.framework.session import KedroSession

from lottery_pipeline.evaluation.lineage import (
    LineageError,
    check_record,
    check_rows,
    collect_record,
    mark_record,
    mark_rows,
    name_run,
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
    parts = {"metrics": {"fingerprint": TRAINED}, "controls": mark_rows([{"rung": 1}], THEIRS)}
    assert collect_record(**parts) == parts


PARTS: dict[str, Any] = {
    "metrics": mark_record({"fingerprint": TRAINED, "method": "layer>snip"}, OURS),
    "history": mark_rows([{"step": 1}], TRAINED),
    "ladder_table": mark_rows([{"rung": 1}], TRAINED),
    "controls": mark_rows([{"rung": 1}], OURS),
    "trace": [{"round": 1}],
}


def test_a_record_holds_every_part_and_only_its_metrics_name_the_ticket() -> None:
    assert collect_record(**PARTS) == {
        "metrics": PARTS["metrics"],
        "history": [{"step": 1}],
        "ladder_table": [{"rung": 1}],
        "controls": [{"rung": 1}],
        "trace": [{"round": 1}],
    }


@pytest.mark.parametrize("part", ["history", "ladder_table", "controls"])
def test_a_part_of_another_ticket_is_refused_with_the_command_that_makes_both(part: str) -> None:
    with pytest.raises(
        LineageError, match=rf"^layer_snip\.{part} belongs.*`kedro run --pipelines layer_snip`"
    ):
        collect_record(**{**PARTS, part: mark_rows([{"rung": 1}], THEIRS)})


def test_a_block_without_tickets_is_recorded_as_it_is() -> None:
    dense = {"metrics": {"fingerprint": OURS}, "history": [{"step": 1}]}
    assert collect_record(**dense) == dense
    assert name_run("layer>snip") == "layer_snip"


def test_a_node_that_reads_a_strangers_record_stops_the_run(tmp_path: Path) -> None:
    with redirected(tmp_path):
        run("snip")
        search = load_catalog().get("snip.search")
        search.save(mark_record(search.load(), THEIRS))
        with (
            KedroSession.create(ROOT, env="test") as session,
            pytest.raises(RunFailedError, match=r"LineageError: snip\.search belongs to another ticket"),
        ):
            session.run(pipeline_names=["snip"], node_names=["snip.evaluate_ticket"])
