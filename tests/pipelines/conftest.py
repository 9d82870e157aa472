"""A place for the work of a node."""

from pathlib import Path

import pytest

from lottery_pipeline.parameters import WorkParameters


@pytest.fixture
def work(tmp_path: Path) -> WorkParameters:
    """The work of a run under ``tmp_path``, with nothing in it."""
    return WorkParameters(
        experiment="tests",
        variant="base",
        images=tmp_path / "images.safetensors",
        models=tmp_path / "models",
        checkpoints=tmp_path / "checkpoints",
        interval_seconds=0,
    )
