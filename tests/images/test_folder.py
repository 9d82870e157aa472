import os

import numpy as np
import pytest

from lottery_pipeline.images.folder import find_folder
from lottery_pipeline.images.preparation import prepare_images
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


def test_images_in_subfolders_of_a_class_belong_to_it_if_all_lie_as_deep(tmp_path):
    write_classes(tmp_path, {"a/first": 1, "a/second": 2, "b/first": 1})
    assert find(tmp_path).load(0).labels.tolist() == [0, 0, 0, 1]


def test_linked_class_folders_are_followed(tmp_path):
    write_classes(tmp_path / "store", {"a": 2})
    write_classes(tmp_path / "root", {"b": 1})
    (tmp_path / "root" / "a").symlink_to(tmp_path / "store" / "a", target_is_directory=True)
    assert find(tmp_path / "root").load(0).labels.tolist() == [0, 0, 1]


def test_linked_folders_in_a_class_are_followed(tmp_path):
    write_classes(tmp_path / "store", {"second": 2}, first=5)
    write_classes(tmp_path / "root", {"a/first": 1, "b/first": 1})
    (tmp_path / "root" / "a" / "second").symlink_to(tmp_path / "store" / "second")
    images = find(tmp_path / "root").load(0)
    assert images.labels.tolist() == [0, 0, 0, 1]
    assert read_identities(images.read(np.arange(4))) == [0, 5, 6, 1]


def test_two_classes_that_are_one_folder_are_refused(tmp_path):
    write_classes(tmp_path / "train", {"a": 1, "b": 1})
    write_classes(tmp_path / "test", {"b": 1})
    (tmp_path / "test" / "a").symlink_to(tmp_path / "train" / "a")
    with pytest.raises(ImageError, match=r"train/a and .*test/a are one folder because of a link"):
        find(tmp_path)


def test_a_class_folder_that_leads_nowhere_is_named(tmp_path):
    write_classes(tmp_path, {"a": 1, "b": 1})
    (tmp_path / "c").symlink_to(tmp_path / "missing")
    with pytest.raises(ImageError, match=r"link .*c cannot be followed: No such file"):
        find(tmp_path)


def test_hidden_files_are_ignored_and_other_files_are_mentioned(tmp_path, caplog):
    write_classes(tmp_path, {"a": 1, "b": 1, ".thumbnails": 1, "__MACOSX": 1})
    for name in ("._000.png", ".DS_Store", "Thumbs.db"):
        (tmp_path / "a" / name).write_bytes(b"")
    assert find(tmp_path).load(0).class_names == ("a", "b")
    assert caplog.text == ""
    (tmp_path / "a" / "notes.txt").write_text("x")
    assert len(find(tmp_path).load(0).labels) == 2
    assert "1 files are not .jpg/.jpeg/.png, e.g." in caplog.text


@pytest.mark.parametrize(
    ("train", "test"), [("Training", "Testing"), ("TRAIN", "TEST"), ("train", "testing")]
)
def test_parts_by_their_other_names_are_kept_apart(tmp_path, train, test):
    write_classes(tmp_path / train, {"sick": 2, "well": 2})
    write_classes(tmp_path / test, {"sick": 1, "well": 1}, first=100)
    images = find(tmp_path).load(0)
    assert images.class_names == ("sick", "well")
    assert (images.train_count, images.validation_count) == (4, 0)
    assert read_identities(images.read(np.arange(6))) == [0, 1, 2, 3, 100, 101]


def test_a_validation_part_is_the_validation_part(tmp_path):
    for first, part in enumerate(("train", "val", "test")):
        write_classes(tmp_path / part, {"a": 3, "b": 3}, first=100 * first)
    splits = prepare_images(ImageRequest(source="image_folder", root=str(tmp_path)), seed=0)
    parts = (splits.train, splits.validation, splits.test)
    assert [sorted(read_identities(part.images))[0] for part in parts] == [0, 100, 200]
    assert [len(part) for part in parts] == [6, 6, 6]


def test_without_a_test_part_some_training_images_are_set_aside(tmp_path):
    write_classes(tmp_path / "train", {"a": 10, "b": 10})
    write_classes(tmp_path / "Valid", {"a": 2, "b": 2}, first=100)
    splits = prepare_images(ImageRequest(source="image_folder", root=str(tmp_path)), seed=0)
    assert [len(splits.train), len(splits.validation), len(splits.test)] == [16, 4, 4]
    assert sorted(read_identities(splits.validation.images)) == [100, 101, 102, 103]


def test_a_class_that_the_test_part_lacks_is_mentioned_and_works(tmp_path, caplog):
    write_classes(tmp_path / "train", {"a": 2, "b": 2, "rare": 2})
    write_classes(tmp_path / "test", {"a": 1, "b": 1})
    images = find(tmp_path).load(0)
    assert images.class_names == ("a", "b", "rare")
    assert images.labels.tolist() == [0, 0, 1, 1, 2, 2, 0, 1]
    assert "test has no images of rare" in caplog.text


def empty_class(root):
    write_classes(root, {"a": 1, "b": 1})
    (root / "c").mkdir()


def two_depths(root):
    write_classes(root, {"a": 1, "b/deeper": 1})


def loose_image(root):
    write_classes(root, {"a": 1, "b": 1})
    write_image(root / "loose.jpg", 1)


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
            "holds train/ but no other part with class folders.*data.root",
        ),
        (
            lambda root: write_classes(root / "test", {"a": 1, "b": 1}),
            "holds test/ but no training part with class folders.*data.root",
        ),
        (differing_classes, "test has class folders that .*train lacks: c; known are a, b"),
        (two_depths, r"images of .* lie at two depths .*a/000\.png and .*b/deeper/000\.png"),
        (loose_image, r"root holds 1 images beside its folders, such as loose\.jpg"),
        (
            lambda root: write_classes(root, {"set/train/a": 1, "set/test/a": 1}),
            "one class only, 'set'.*set data.root to .*root/set",
        ),
        (
            lambda root: write_classes(root, {"a/train": 1, "a/test": 1, "b/train": 1, "b/test": 1}),
            "class folder .*a holds test/ and train/",
        ),
        (lambda root: (root / "c").symlink_to(root / "c"), "link .*c cannot be followed"),
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
    image = root / "b" / "000.png"
    before = image.stat()
    replacement = root / "b" / "replacement.png"
    replacement.write_bytes(bytes(before.st_size))
    os.utime(replacement, ns=(before.st_atime_ns, before.st_mtime_ns))
    replacement.rename(image)
    contents.append(find(root).content)
    assert contents[-1] != contents[-2]
    root.rename(tmp_path / "elsewhere")
    assert find(tmp_path / "elsewhere").content == contents[-1]
