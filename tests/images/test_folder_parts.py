import pytest

from lottery_pipeline.images.folder_parts import find_parts
from lottery_pipeline.images.request import ImageError
from tests.images.builders import write_classes


def write(root, *folders: str) -> None:
    write_classes(root, dict.fromkeys(folders, 1))


@pytest.mark.parametrize(
    ("folders", "parts"),
    [
        (("a", "b"), {"train": ""}),
        (("train/a", "test/a"), {"train": "train", "test": "test"}),
        (("Training/a", "TESTING/a"), {"train": "Training", "test": "TESTING"}),
        (("train/a", "val/a"), {"train": "train", "validation": "val"}),
        (
            ("Train/a", "valid/a", "Test/a"),
            {"train": "Train", "validation": "valid", "test": "Test"},
        ),
        (
            ("testing/a", "validation/a", "training/a"),
            {"train": "training", "validation": "validation", "test": "testing"},
        ),
        # One class alone may have such a name, and two if no part is like the other.
        (("train", "bus"), {"train": ""}),
        (("valid", "invalid"), {"train": ""}),
        (("train station", "train track", "test tube"), {"train": ""}),
        (("test_images", "bus"), {"train": ""}),
    ],
)
def test_parts_are_told_by_their_names_in_any_case(tmp_path, folders, parts):
    write(tmp_path, *folders)
    found = find_parts(tmp_path)
    assert found == {part: tmp_path / name for part, name in parts.items()}
    assert list(found) == list(parts)


@pytest.mark.parametrize(
    ("folders", "message"),
    [
        (("train/a", "Training/a", "test/a"), "holds both Training/ and train/: keep one"),
        (("train/a", "val/a", "valid/a"), "holds both val/ and valid/: keep one"),
        (("train/a", "test"), "holds train/, and test/ without class folders"),
        (("train/a", "val/a", "test"), "holds train/ and val/, and test/ without class folders"),
        (("train/a", "test/a", "bus"), "holds test/ and train/, and images in bus/, which is not a part"),
        (("train/a", "bus/red"), "holds train/, and images in bus/"),
        (("train/a", "train/b"), "holds train/ but no other part"),
        (("val/a", "test/a"), "holds test/ and val/ but no training part"),
        (("train", "test"), "folders test/ and train/ of .* look like parts"),
        (("Training", "Testing", "bus"), "folders Testing/ and Training/ of .* look like parts"),
        (("training_set/a", "test_set/a"), "folders test_set/ and training_set/ of .* look like parts"),
        (("Train Images/a", "Test Images/a"), "folders Test Images/ and Train Images/ of .* look like"),
        (("data-train/a", "data-val/a"), "folders data-train/ and data-val/ of .* look like parts"),
    ],
)
def test_what_could_be_parts_or_classes_is_refused_with_what_was_found(tmp_path, folders, message):
    write(tmp_path, *folders)
    with pytest.raises(ImageError, match=message) as caught:
        find_parts(tmp_path)
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_without_images_beside_the_parts_is_mentioned(tmp_path, caplog):
    write(tmp_path, "train/a", "test/a")
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "train.csv").write_text("x")
    assert set(find_parts(tmp_path)) == {"train", "test"}
    assert "ignored beside test/ and train/: labels" in caplog.text
