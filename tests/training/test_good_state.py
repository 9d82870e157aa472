"""The newest good state of a training: copied once, and never twice in memory."""

import gc
import weakref
from pathlib import Path

import torch

from lottery_pipeline.reproducibility.checkpoints import Checkpoints
from lottery_pipeline.training.good_state import GoodState

NAME = "a" * 64


def test_what_still_changes_is_copied_and_what_is_finished_is_not(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    good = GoodState(checkpoints, NAME)
    weight, snapshot = torch.zeros(3), torch.ones(3)
    good.keep({"state": {"w": weight}}, {"snapshot/0": {"w": snapshot}}, {"step": 4})
    weight += 7
    assert "of step 4, is" in good.save()
    tensors, record = checkpoints.load(NAME) or ({}, {})
    assert record == {"step": 4}
    assert tensors["state/w"].tolist() == [0, 0, 0]
    assert tensors["snapshot/0/w"].tolist() == [1, 1, 1]
    assert good._good is not None
    assert good._good[0]["snapshot/0/w"] is snapshot


def test_the_last_state_is_gone_before_the_next_is_copied(tmp_path: Path) -> None:
    good = GoodState(Checkpoints(tmp_path), NAME)
    good.keep({"state": {"w": torch.zeros(3)}}, {}, {})
    assert good._good is not None
    last = weakref.ref(good._good[0]["state/w"])
    seen = []

    class Weights(dict[str, torch.Tensor]):
        def items(self):  # type: ignore[no-untyped-def]
            gc.collect()
            seen.append(last())
            return super().items()

    good.keep({"state": Weights(w=torch.ones(3))}, {}, {})
    assert seen == [None]


def test_a_finished_training_keeps_no_state(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    good = GoodState(checkpoints, NAME)
    good.keep({"state": {"w": torch.zeros(3)}}, {}, {})
    good.finish({"state": {"w": torch.ones(3)}}, {"finished": True})
    assert good._good is None
    assert checkpoints.load(NAME) is not None
