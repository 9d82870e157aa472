"""Weights of the user's own, before the first node: refused in one sentence, or tried."""

from pathlib import Path
from typing import Any

import pytest
import torch

from lottery_pipeline.hooks import preflight
from lottery_pipeline.hooks.search_checks import find_theta_0, look_ahead
from lottery_pipeline.models.registry import build_model
from lottery_pipeline.models.weights.choice import MisfitError
from lottery_pipeline.parameters import (
    DataParameters,
    ModelParameters,
    PretrainingParameters,
    RetrainingParameters,
)
from tests.kedro_project import refuse
from tests.tiny import tiny_spec


def find_faults(parameters: dict[str, Any], project: Path) -> list[str]:
    return list(preflight._impossible({"model"}, parameters, project, None))


def save_network(path: Path, name: str = "lenet_300_100", *, side: int = 8) -> Path:
    """Weights of a network for digits, as a plain script saves them."""
    spec = tiny_spec(name, width=side).model_copy(update={"num_classes": 10})
    torch.save(build_model(spec, seed=5).network.state_dict(), path)
    return path


def name_weights(weights: Path | str, name: str = "lenet_300_100", **data: Any) -> dict[str, Any]:
    recipe = PretrainingParameters(epochs=2, rewind_epoch=1, batch_size=16)
    return {
        "seed": 0,
        "data": DataParameters(**data),
        "model": ModelParameters(name=name, weights=str(weights)),
        "pretraining": recipe,
        "retraining": RetrainingParameters(),
    }


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("none.pt", "it cannot be read (No such file or directory)."),
        ("folder", "it is a folder, not a file."),
        ("empty.pt", "it is empty."),
        ("letter.pt", "it is neither a safetensors file nor one that torch.save has written."),
        ("whole.pt", "it holds more than tensors (torch.nn.modules.linear.Linear), which is never loaded; "),
        ("conv.pt", "it has the weights of another network: of the 6 tensors of lenet_300_100, only 1 "),
    ],
)
def test_weights_that_cannot_be_theta_0_are_refused(name: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "empty.pt").touch()
    (tmp_path / "letter.pt").write_text("These are not the weights you are looking for.")
    torch.save(torch.nn.Linear(2, 2), tmp_path / "whole.pt")
    save_network(tmp_path / "conv.pt", "conv2")
    (fault,) = find_faults(name_weights(name), tmp_path)
    assert fault.startswith(f"Parameter model.weights: cannot use {tmp_path / name}: {words}")
    assert "\n" not in fault


def test_named_weights_of_torchvision_need_its_network_and_its_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    (fault,) = find_faults(name_weights("DEFAULT"), tmp_path)
    assert fault.startswith(
        "Parameter model.weights: DEFAULT names weights of torchvision, but the model is "
    )
    (fault,) = find_faults(name_weights("DEFAULT", "torchvision:resnet18"), tmp_path)
    assert f"is looked for in {tmp_path / 'hub' / 'checkpoints' / 'resnet18-f37072fd.pth'}" in fault


def test_wrong_weights_end_a_run_before_its_first_node_but_not_one_of_the_stored_dense_run(
    tmp_path: Path,
) -> None:
    message = refuse(tmp_path, "snip", model={"weights": "nowhere.pt"})
    assert message.startswith("Parameter model.weights: cannot use ")
    message = refuse(tmp_path, "sparse_retraining", model={"weights": "nowhere.pt"})
    assert "nowhere.pt" not in message
    assert "Needed: " in message


def test_methods_are_tried_on_the_weights_that_the_run_would_start_from(tmp_path: Path) -> None:
    path = save_network(tmp_path / "mine.pt")
    outlook = look_ahead(name_weights("mine.pt"), tmp_path, None)
    found = outlook.trial.model.state_dict()["network.fc.weight"]
    assert torch.equal(found, torch.load(path, weights_only=True)["fc.weight"])


def test_what_only_the_images_can_tell_of_weights_is_not_refused_yet(tmp_path: Path) -> None:
    photos = {"source": "image_folder", "root": str(tmp_path)}
    path = save_network(tmp_path / "mine.pt", side=4)
    assert find_theta_0(name_weights(path, **photos), tmp_path, None) is None
    with pytest.raises(MisfitError, match=r"its fc1\.weight has the shape"):
        find_theta_0(name_weights(path, **photos, image_size=8), tmp_path, None)


def test_statistics_must_fit_the_channels_where_these_are_known(tmp_path: Path) -> None:
    photos = {"source": "image_folder", "root": str(tmp_path)}
    for data, fits in (({}, False), (photos, True), (photos | {"channels": 1}, False)):
        model = ModelParameters(name="conv2", mean=(0.5,) * 3, std=(0.2,) * 3)
        faults = find_faults(name_weights("x", "conv2", **data) | {"model": model}, tmp_path)
        assert [fault for fault in faults if "mean and std need one value for each" in fault] == faults
        assert (not faults) == fits
