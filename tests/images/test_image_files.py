import os

import pytest

from lottery_pipeline.images.image_files import list_files
from lottery_pipeline.images.request import ImageError


def touch(path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def test_files_are_listed_by_path_with_their_depth_and_system_files_are_not(tmp_path):
    for name in (
        "b.png",
        "a/c.png",
        "a/d/e.txt",
        ".hidden/f.png",
        "__MACOSX/g.png",
        "a/.DS_Store",
        "Thumbs.db",
    ):
        touch(tmp_path / name)
    found = list_files(tmp_path)
    assert [(file.path[len(str(tmp_path)) :], file.depth) for file in found] == [
        ("/a/c.png", 1),
        ("/a/d/e.txt", 2),
        ("/b.png", 0),
    ]


def test_links_to_folders_and_files_are_followed(tmp_path):
    touch(tmp_path / "store" / "deep" / "a.png")
    touch(tmp_path / "b.png")
    (tmp_path / "top").mkdir()
    (tmp_path / "top" / "link").symlink_to(tmp_path / "store")
    (tmp_path / "top" / "b.png").symlink_to(tmp_path / "b.png")
    names = [file.path[len(str(tmp_path / "top")) :] for file in list_files(tmp_path / "top")]
    assert names == ["/b.png", "/link/deep/a.png"]


@pytest.mark.parametrize("target", [".", "..", "deep", "../deep"])
def test_a_link_to_a_folder_that_is_read_anyway_is_named_and_ends(tmp_path, target):
    touch(tmp_path / "deep" / "inner" / "a.png")
    place = tmp_path / "deep" / "inner" if target.startswith(".") else tmp_path
    (place / "link").symlink_to(target if target != "../deep" else "../../deep")
    with pytest.raises(ImageError, match=r"are one folder because of a link, .*: remove the link"):
        list_files(tmp_path)


def test_broken_links_and_pipes_are_named(tmp_path):
    (tmp_path / "a.png").symlink_to(tmp_path / "missing.png")
    with pytest.raises(ImageError, match=r"link .*a\.png cannot be followed: No such file"):
        list_files(tmp_path)
    (tmp_path / "a.png").unlink()
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(ImageError, match=r"link .*loop cannot be followed: Too many"):
        list_files(tmp_path)
    (tmp_path / "loop").unlink()
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(ImageError, match=r"pipe\.png is not a regular file or a folder"):
        list_files(tmp_path)
