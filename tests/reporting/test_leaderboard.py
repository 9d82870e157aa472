import logging
import math

import pandas as pd
import pytest

from lottery_pipeline.reporting.leaderboard import CONTRACT_COLUMNS, ReportError, build_leaderboard
from lottery_pipeline.reproducibility.measured import flatten_record
from tests.reporting.records import make_metrics, make_superticket


def test_the_columns_of_the_contract_come_first_and_in_order():
    table = build_leaderboard({"ltr": make_metrics("ltr")})
    assert tuple(table.columns[:17]) == (
        "method",
        "seed",
        "density",
        "kept",
        "prunable",
        "dense_accuracy",
        "test_accuracy",
        "accuracy_delta",
        "search_epochs",
        "train_epochs",
        "search_seconds",
        "train_seconds",
        "macs_dense",
        "macs_theoretical",
        "macs_executed",
        "ticket_bytes",
        "fingerprint",
    )
    assert table.loc[0, "kept"] == 6_700


def test_rows_stand_by_density_then_by_validation_accuracy():
    table = build_leaderboard(
        {
            "lth": make_metrics("lth", validation_accuracy=0.90),
            "snip": make_metrics("snip", density=0.5, kept=33_500, validation_accuracy=0.80),
            "ltr": make_metrics("ltr", validation_accuracy=0.95),
            "grasp": make_metrics("grasp", validation_accuracy=math.nan),
        }
    )
    assert list(table["method"]) == ["snip", "ltr", "lth", "grasp"]


def test_the_test_images_order_nothing():
    table = build_leaderboard(
        {
            "lth": make_metrics("lth", test_accuracy=0.99, validation_accuracy=0.90),
            "ltr": make_metrics("ltr", test_accuracy=0.95, validation_accuracy=0.91),
        }
    )
    assert list(table["method"]) == ["ltr", "lth"]


def test_among_equals_fewer_weights_lead_then_the_name():
    table = build_leaderboard(
        {
            "ltr": make_metrics("ltr", search_epochs=1.0),
            "cts": make_metrics("cts", test_accuracy=0.1),
            "supertickets": make_superticket(density=0.1, kept=2_000, validation_accuracy=0.98),
        }
    )
    assert list(table["method"]) == ["supertickets", "cts", "ltr"]


def test_without_validation_images_rows_of_a_density_stand_by_name():
    table = build_leaderboard(
        {
            "ltr": make_metrics("ltr", test_accuracy=0.99, validation_accuracy=None),
            "cts": make_metrics("cts", test_accuracy=0.10, validation_accuracy=None),
            "snip": make_metrics("snip", density=0.5, kept=33_500, validation_accuracy=None),
        }
    )
    assert list(table["method"]) == ["snip", "cts", "ltr"]


def test_a_record_of_an_older_run_which_has_no_field_of_measured_numbers_gives_the_same_row():
    record = make_metrics("ltr", speedup_128=1.5)
    older = flatten_record(record)
    assert "measured" in record
    assert "measured" not in older
    pd.testing.assert_frame_equal(build_leaderboard({"ltr": older}), build_leaderboard({"ltr": record}))
    assert build_leaderboard({"ltr": older}).loc[0, "speedup_128"] == 1.5


def test_methods_that_were_not_run_are_left_out():
    assert list(build_leaderboard({"lth": None, "ltr": make_metrics("ltr")})["method"]) == ["ltr"]


def test_without_any_run_the_table_is_empty_but_has_its_columns():
    table = build_leaderboard({"lth": None})
    assert table.empty
    assert tuple(table.columns[:17]) == CONTRACT_COLUMNS


def test_a_row_of_another_dense_parent_is_noted_and_warned_about(caplog):
    with caplog.at_level(logging.WARNING):
        table = build_leaderboard(
            {
                "lth": make_metrics("lth"),
                "ltr": make_metrics("ltr", dense_fingerprint="e" * 64),
                "cts": make_metrics("cts"),
            }
        )
    notes = dict(zip(table["method"], table["note"], strict=True))
    assert notes["lth"] == notes["cts"] == ""
    assert notes["ltr"] == "not comparable: its dense parent is eeeeeeeeee, D = 67,000"
    assert "rows ltr have a different dense parent" in caplog.text


def test_rows_of_one_dense_parent_cause_no_warning(caplog):
    table = build_leaderboard({"lth": make_metrics("lth"), "ltr": make_metrics("ltr")})
    assert list(table["note"]) == ["", ""]
    assert caplog.text == ""


def test_dead_layers_are_counted():
    table = build_leaderboard({"ltr": make_metrics("ltr", dead_layers=["network.conv1.weight"])})
    assert table.loc[0, "dead_layers"] == 1


def test_a_record_without_a_contract_column_is_refused_by_name():
    record = make_metrics("ltr")
    del record["kept"]
    with pytest.raises(ReportError, match="the metrics of 'ltr' lack kept;"):
        build_leaderboard({"ltr": record})


def test_a_network_of_its_own_is_noted_without_a_warning_and_never_sets_the_standard(caplog):
    metrics = {"supertickets": make_superticket(), "ltr": make_metrics("ltr")}
    table = build_leaderboard(metrics).set_index("method")
    assert table.loc["supertickets", "note"] == "a network of its own: supernet, D = 20,000"
    assert table.loc["ltr", "note"] == ""
    assert caplog.text == ""


def test_a_network_of_its_own_alone_is_the_standard():
    assert list(build_leaderboard({"supertickets": make_superticket()})["note"]) == [""]


def test_network_accuracy_as_found_and_metric_stand_in_the_table_where_they_are_known():
    table = build_leaderboard({"supertickets": make_superticket(), "ltr": make_metrics("ltr")})
    rows = table.set_index("method")[["network", "found_accuracy", "metric"]]
    assert list(rows.loc["supertickets"]) == ["supernet", 0.71, "accuracy"]
    assert rows.loc["ltr"].isna().all()
