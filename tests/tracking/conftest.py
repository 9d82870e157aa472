"""Fixtures for the tests of tracking."""

import pytest


@pytest.fixture(autouse=True)
def patient(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a run wait for a machine that is busy, so that a test may read at once what was sent."""
    if "impatient" not in request.fixturenames:
        monkeypatch.setattr("lottery_pipeline.tracking.connection.PATIENCE_SECONDS", 60.0)


@pytest.fixture
def impatient() -> None:
    """Let a run wait no longer than it does for a user."""
