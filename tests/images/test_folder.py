import os

import numpy as np
import pytest

from lottery_pipeline.images.folder import find_folder
from lottery_pipeline.images.request import ImageError, ImageRequest
from tests.images.builders import read_identities, write_classes, write_image


def find(root, **fields):
    return find_folder(ImageRequest(source="image_folder", root=str(root), **fields))


def test_train_and_test_folders_are_kept_apart_and_labelled_by_sorted_class_name(tmp_path):
    write_classes(tmp_path / "train", {"dog": 2, "cat": 1})
    write_classes(tmp_path / "test", {"cat": 1, "dog": 1}, first=100)
    images = find(tmp_path).load(0)
    assert images.class_names == ("cat", "dog")
    assert images.labels.tolist() == [0, 1, 1, 0, 1]
    assert images.train_count == 3
    assert read_identities(images.read(np.arange(5))) == [2, 0, 1, 100, 101]


def test_one_folder_of_classes_has_no_test_part_of_its_own(tmp_path):
    write_classes(tmp_path, {"a": 2, "b": 3})
    images = find(tmp_path).load(0)
    assert images.train_count == len(images.labels) == 5
    assert read_identities(images.read(np.array([4, 0]))) == [4, 0]


def test_a_class_may_be_called_train(tmp_path):
    write_classes(tmp_path, {"train": 2, "bus": 2})
    assert find(tmp_path).load(0).class_names == ("bus", "train")


def test_images_in_subfolders_of_a_class_belong_to_it(tmp_path):
    write_classes(tmp_path, {"a": 1, "b": 1})
    write_image(tmp_path / "a" / "deeper" / "more.PNG", 9)
    assert find(tmp_path).load(0).labels.tolist() == [0, 0, 1]


def test_linked_class_folders_are_followed(tmp_path):
    write_classes(tmp_path / "store", {"a": 2})
    write_classes(tmp_path / "root", {"b": 1})
    (tmp_path / "root" / "a").symlink_to(tmp_path / "store" / "a", target_is_directory=True)
    assert find(tmp_path / "root").load(0).labels.tolist() == [0, 0, 1]


def test_hidden_files_are_ignored_and_other_files_are_mentioned(tmp_path, caplog):
    write_classes(tmp_path, {"a": 1, "b": 1, ".thumbnails": 1, "__MACOSX": 1})
    (tmp_path / "a" / "._000.png").write_bytes(b"")
    assert find(tmp_path).load(0).class_names == ("a", "b")
    assert caplog.text == ""
    (tmp_path / "a" / "notes.txt").write_text("x")
    assert len(find(tmp_path).load(0).labels) == 2
    assert "1 files are not .jpg/.jpeg/.png, e.g." in caplog.text


def test_a_third_folder_beside_train_and_test_is_mentioned(tmp_path, caplog):
    for part in ("train", "test", "val"):
        write_classes(tmp_path / part, {"a": 1, "b": 1})
    assert len(find(tmp_path).load(0).labels) == 4
    assert "ignored beside train/ and test/: val" in caplog.text


def empty_class(root):
    write_classes(root, {"a": 1, "b": 1})
    (root / "c").mkdir()


def differing_classes(root):
    write_classes(root / "train", {"a": 1, "b": 1})
    write_classes(root / "test", {"a": 1, "c": 1})


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda root: root.rmdir(), "does not exist"),
        (lambda root: None, "has no class folders"),
        (lambda root: write_image(root / "a.png", 1), "has no class folders"),
        (lambda root: write_classes(root, {"only": 3}), "has one class only, 'only'"),
        (
            lambda root: write_classes(root / "train", {"a": 1, "b": 1}),
            "no class folders in test/.*data.root",
        ),
        (
            lambda root: write_classes(root / "test", {"a": 1, "b": 1}),
            "no class folders in train/.*data.root",
        ),
        (differing_classes, "same class folders; only in train/: b; only in test/: c"),
        (empty_class, "class folder .*c has no images"),
    ],
)
def test_an_unusable_folder_is_refused_in_one_sentence(tmp_path, build, message):
    root = tmp_path / "root"
    root.mkdir()
    build(root)
    with pytest.raises(ImageError, match=message) as caught:
        find(root)
    assert str(root) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_is_not_a_folder(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ImageError, match="is not a folder"):
        find(tmp_path / "file")


def test_the_content_changes_with_names_sizes_times_and_number_but_not_with_the_place(tmp_path):
    write_classes(tmp_path / "root", {"a": 2, "b": 2})
    root = tmp_path / "root"
    image = root / "a" / "000.png"
    contents = [find(root).content]
    assert find(root).content == contents[0]
    os.utime(image, ns=(1, 1))
    contents.append(find(root).content)
    image.write_bytes(image.read_bytes() + b"\0")
    os.utime(image, ns=(1, 1))
    contents.append(find(root).content)
    image.rename(root / "a" / "renamed.png")
    contents.append(find(root).content)
    write_image(root / "b" / "new.png", 5)
    contents.append(find(root).content)
    assert len(set(contents)) == 5
    root.rename(tmp_path / "elsewhere")
    assert find(tmp_path / "elsewhere").content == contents[-1]
