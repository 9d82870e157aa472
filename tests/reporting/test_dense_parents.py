"""The dense parents of the rows: which are out of date."""

from tests.reporting.records import make_dense_metrics
from tests.reporting.rendering import Page, render


def test_a_result_of_an_earlier_dense_run_is_pointed_out():
    assert "Not up to date" not in render()
    text = Page(render(dense_metrics=make_dense_metrics(fingerprint="e" * 64))).text
    assert "LTR, LTH come from an earlier dense run than the one reported here." in text


def test_a_dense_run_of_an_earlier_version_is_known_by_its_accuracy():
    earlier = make_dense_metrics()
    del earlier["fingerprint"]
    assert "earlier dense run" not in Page(render(dense_metrics=earlier)).text
    assert "earlier dense run" in Page(render(dense_metrics=earlier | {"test_accuracy": 0.97})).text


def test_the_dense_row_carries_the_fingerprint_of_the_parents():
    dense = make_dense_metrics()
    del dense["fingerprint"]
    assert f'title="{"d" * 64}"' in render(dense_metrics=dense)
    assert f'title="{"d" * 64}"' not in render(dense_metrics=dense | {"test_accuracy": 0.5})
