import pytest

from lottery_pipeline.reporting.networks import (
    count_of_dense,
    count_weights,
    has_own_network,
    list_parents,
    name_network,
    split_by_network,
)
from tests.reporting.records import D, make_dense_metrics, make_metrics, make_superticket


def test_only_a_method_that_says_so_has_a_network_of_its_own():
    assert has_own_network("supertickets")
    assert not has_own_network("layer>cts")
    assert not has_own_network("unknown")


def test_the_common_network_is_that_of_the_dense_run():
    finals = {"supertickets": make_superticket(), "ltr": make_metrics("ltr")}
    common, others = split_by_network(finals, make_dense_metrics())
    assert (list(common), list(others)) == (["ltr"], ["supertickets"])
    common, others = split_by_network(finals, make_dense_metrics(prunable=20_000))
    assert (list(common), list(others)) == (["supertickets"], ["ltr"])


@pytest.mark.parametrize(
    ("runs", "common"),
    [
        (("supertickets", "ltr"), ["ltr"]),
        (("supertickets",), ["supertickets"]),
        ((), []),
    ],
)
def test_without_a_dense_run_a_network_of_its_own_counts_only_where_there_is_no_other(runs, common):
    made = {"supertickets": make_superticket(), "ltr": make_metrics("ltr")}
    assert list(split_by_network({run: made[run] for run in runs})[0]) == common


def test_runs_of_one_dense_parent_have_it_together():
    first, second = make_superticket(), make_superticket(density=0.1)
    (parent,) = list_parents({"supertickets": first, "study": second})
    assert parent.name == "Dense supernet of SuperTickets, SuperTickets (study), 99.0%"
    assert (parent.accuracy, parent.macs, parent.densities) == (0.99, 400_000, (0.335, 0.1))
    assert len(list_parents({"a": first, "b": make_superticket(dense_fingerprint="6" * 64)})) == 2


def test_a_network_is_named_with_its_size():
    assert name_network(make_superticket()) == "supernet, D = 20,000"
    assert name_network(make_metrics()) == "D = 67,000"
    assert count_weights(make_superticket(model="<b>")) == "6,700 of D = 20,000 weights (&lt;b&gt;)"
    assert count_weights(make_metrics()) == "6,700 of D = 67,000 weights"


def test_rows_that_count_a_smaller_network_get_the_density_of_the_dense_parent():
    (row,) = count_of_dense([{"kept": 6_700, "prunable": 13_400, "density": 0.5}], D)
    assert row == {"kept": 6_700, "prunable": D, "density": 0.1}
    old = {"kept": 6_700, "density": 0.1}
    assert count_of_dense([old], D) == [old]
    assert count_of_dense(None, None) == []
