"""Checkpoints of a run: they go when no later run would resume from them, and no earlier."""

from pathlib import Path
from typing import Any

import pytest
from safetensors import safe_open

from lottery_pipeline.hooks.requests import RunFailedError
from tests.kedro_project import redirected, run


def test_a_run_that_ends_well_leaves_no_checkpoint(tmp_path: Path) -> None:
    with redirected(tmp_path):
        run("ltr")
    assert not list(tmp_path.glob("data/work/**/*.safetensors"))


def test_the_checkpoints_of_a_stored_dense_run_go_when_it_is_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise KeyError("interrupted")

    monkeypatch.setattr("lottery_pipeline.evaluation.retraining.retrain_ticket", fail)
    with redirected(tmp_path), pytest.raises(RunFailedError, match="ltr failed in retrain_ticket: KeyError"):
        run("ltr")
    left = list(tmp_path.glob("data/work/test/base/*.safetensors"))
    assert len(left) == 3, "the search and two controls: a later run resumes from them"
    searches = 0
    for path in left:
        with safe_open(path, "pt") as file:
            searches += '"trace"' in file.metadata()["checkpoint"]
    assert searches == 1
