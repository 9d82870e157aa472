"""The independent figures beside ours: each row with its own spread and start."""

import pytest

from benchmarks.cts import agreement


def test_each_row_shows_the_spread_of_its_own_method(monkeypatch):
    monkeypatch.setitem(agreement.INDEPENDENT, "tiny", {("cts_kl", 22): 40.0, ("snip", 22): 41.0})
    measured = {
        ("cts_kl", "rewind", 22): [42.0, 42.0, 42.3],
        ("snip", "initial", 22): [30.0, 40.0, 50.0],
        ("snip", "rewind", 22): [44.0],
    }
    assert list(agreement.compare("tiny", measured)) == [
        ["tiny", "cts_kl", "rewind", "0.738", "42.1", "3", "0.2", "40.0", "+2.1"],
        ["tiny", "snip", "initial", "0.738", "40.0", "3", "10.0", "41.0", "-1.0"],
        ["tiny", "snip", "rewind", "0.738", "44.0", "1", "unknown", "41.0", "+3.0"],
    ]


def test_random_masks_of_unknown_kind_stand_beside_both_of_ours():
    rows = agreement.compare("torch_init_32", agreement.read("torch_init_32"))
    found = {row[1]: row[4:] for row in rows if row[1].startswith("random") and row[3] == "0.738"}
    assert found == {
        "random": ["39.3", "1", "unknown", "22.8", "+16.5"],
        "random_uniform": ["18.6", "3", "2.9", "22.8", "-4.2"],
    }


@pytest.mark.parametrize("setting", agreement.INDEPENDENT)
def test_every_independent_figure_has_a_row_beside_it(setting):
    measured = agreement.read(setting)
    names = {(name, rung) for name, _, rung in measured}
    for method, rung in agreement.INDEPENDENT[setting]:
        assert {(kind, rung) for kind in agreement.KINDS.get(method, (method,))} & names
