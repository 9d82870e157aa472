"""The plans of the study: every method from both starts, and masks that are what their names say."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks.cts import plans
from benchmarks.cts.settings import SETTINGS

UNTRAINED = ("snip", "grasp", "synflow", "magnitude", "random", "random_uniform")


@pytest.mark.parametrize("start", ["initial", "rewind"])
def test_every_method_searches_from_the_start_that_it_is_given(monkeypatch, start):
    asked = {}
    monkeypatch.setattr(
        plans, "find_and_train", lambda task, method, *given: asked.setdefault(method, []).append(given)
    )
    task = SimpleNamespace(setting=SETTINGS["rewind_5"])
    for method in ("cts_kl", "cts_l", *UNTRAINED):
        plans.PLANS[method](task, method, start)
        ((found, rung, name, options),) = asked[method]
        assert (found, options.start, rung) == (start, start, 22)
        assert name == {"cts_kl": "cts", "cts_l": "cts", "random_uniform": "random"}.get(method, method)
        assert options.density == pytest.approx(0.8**22)
    assert asked["random"][0][3].allocation == "erk"
    assert asked["random_uniform"][0][3].allocation == "uniform"
    assert (asked["cts_kl"][0][3].objective, asked["cts_l"][0][3].objective) == ("kl_reverse", "task_loss")


def test_a_row_that_lies_there_is_not_measured_again(monkeypatch, tmp_path):
    task = SimpleNamespace(setting=SETTINGS["rewind_5"], folder=Path(tmp_path))
    (tmp_path / "snip_rewind_22.json").write_text("{}")
    monkeypatch.setattr(plans, "extract", lambda *_: pytest.fail("searched again"))
    plans.PLANS["snip"](task, "snip", "rewind")
    with pytest.raises(pytest.fail.Exception, match="searched again"):
        plans.PLANS["snip"](task, "snip", "initial")
