"""The owner's key of a run: made once, and one that cannot be used is refused before the first node."""

from pathlib import Path

import pytest

from lottery_pipeline.hooks.credentials import CredentialHooks
from lottery_pipeline.hooks.requests import RunRefusedError
from lottery_pipeline.ownership import keys
from lottery_pipeline.ownership.keys import create_key_file, read_key_file
from lottery_pipeline.pipeline_registry import register_pipelines
from tests.kedro_project import load_catalog, redirected


def ask_for_key(folder: Path) -> None:
    with redirected(folder):
        CredentialHooks().before_pipeline_run(register_pipelines()["signature_embedding"], load_catalog())


def test_a_key_that_another_run_has_just_made_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, made = tmp_path / "owner_key.json", []

    def be_late(late: Path) -> None:
        made.append(create_key_file(path))
        create_key_file(late)

    monkeypatch.setattr(keys, "create_key_file", be_late)
    ask_for_key(tmp_path)
    assert read_key_file(path).secret == made[0].secret


@pytest.mark.parametrize("content", ["", "{}", '{"format": "lottery_pipeline.owner_key"}'])
def test_a_damaged_key_is_refused_before_the_first_node(content: str, tmp_path: Path) -> None:
    path = tmp_path / "owner_key.json"
    path.write_text(content)
    path.chmod(0o600)
    with pytest.raises(RunRefusedError, match=r"owner_key\.json is not a key file"):
        ask_for_key(tmp_path)
    assert path.read_text() == content
