from pathlib import Path

import pytest

from lottery_pipeline.models.weights.choice import hide_folder, names_torchvision, resolve_weights


@pytest.mark.parametrize(
    "name", ["DEFAULT", "IMAGENET1K_V1", "ResNet18_Weights.IMAGENET1K_V1", "ViT_B_16_Weights.DEFAULT"]
)
def test_names_of_torchvision_are_names_and_stay(name: str) -> None:
    assert names_torchvision(name)
    assert resolve_weights(name, Path("/project")) == name


@pytest.mark.parametrize("path", ["weights/r18.pt", "./DEFAULT", "default", "IMAGENET1K_V1.pth"])
def test_anything_else_is_a_path_that_starts_at_the_project(path: str) -> None:
    assert not names_torchvision(path)
    assert resolve_weights(path, Path("/project")) == str(Path("/project") / path)


def test_an_absolute_path_stays_and_a_home_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/zoe")
    assert resolve_weights("/data/w.pt", Path("/project")) == "/data/w.pt"
    assert resolve_weights("~/w.pt", Path("/project")) == "/home/zoe/w.pt"


def test_others_see_the_name_of_the_file_alone() -> None:
    assert hide_folder("/home/zoe/secret/w.pt") == "w.pt"
    assert hide_folder("ResNet18_Weights.DEFAULT") == "ResNet18_Weights.DEFAULT"
