from pathlib import Path

import pytest
import torch

from lottery_pipeline.models.weights.choice import WeightsError
from lottery_pipeline.models.weights.torchvision_cache import find_cached, find_statistics

MODEL = "torchvision:resnet18"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    (tmp_path / "checkpoints").mkdir()
    return tmp_path / "checkpoints"


@pytest.mark.parametrize("name", ["DEFAULT", "IMAGENET1K_V1", "ResNet18_Weights.IMAGENET1K_V1"])
def test_weights_in_the_cache_are_found(cache: Path, name: str) -> None:
    (cache / "resnet18-f37072fd.pth").touch()
    assert find_cached(name, MODEL) == cache / "resnet18-f37072fd.pth"


def test_weights_that_are_not_there_are_named_with_their_place_and_nothing_is_downloaded(cache: Path) -> None:
    with pytest.raises(WeightsError) as caught:
        find_cached("DEFAULT", MODEL)
    assert str(caught.value) == (
        f"DEFAULT of {MODEL} is looked for in {cache / 'resnet18-f37072fd.pth'}, which is not there, and "
        "nothing is downloaded here; torchvision.models.resnet18(weights='IMAGENET1K_V1') in Python puts it "
        "there"
    )
    assert list(cache.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "model", "words"),
    [
        (
            "IMAGENET1K_V9",
            MODEL,
            "has no weights IMAGENET1K_V9; allowed are IMAGENET1K_V1, DEFAULT of ResNet18_Weights",
        ),
        ("ResNet50_Weights.DEFAULT", MODEL, "allowed are IMAGENET1K_V1, DEFAULT of ResNet18_Weights"),
        ("DEFAULT", "resnet20", "DEFAULT names weights of torchvision, but the model is resnet20"),
    ],
)
def test_a_name_that_is_not_one_of_the_network_is_refused(name: str, model: str, words: str) -> None:
    with pytest.raises(WeightsError, match=words):
        find_cached(name, model)


def test_the_weights_bring_the_statistics_of_their_images() -> None:
    assert find_statistics("DEFAULT", MODEL) == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
