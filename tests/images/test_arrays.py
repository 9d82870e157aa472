import io
import os
import tracemalloc
import zipfile

import numpy as np
import pytest
import torch

from lottery_pipeline.images import array_members, memory
from lottery_pipeline.images.arrays import find_arrays
from lottery_pipeline.images.request import ImageError, ImageRequest
from tests.images.builders import write_npz

Y = np.array([0, 1, 0, 1])


def find(path, **fields):
    return find_arrays(ImageRequest(source="arrays", root=str(path), **fields))


def pixels(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def read_all(path, **fields) -> torch.Tensor:
    images = find(path, **fields).load(0)
    return images.read(np.arange(len(images.labels)))


@pytest.mark.parametrize(
    ("shape", "to_nchw"),
    [
        ((4, 5, 6), lambda x: x[:, None]),
        ((4, 5, 6, 1), lambda x: x.transpose(0, 3, 1, 2)),
        ((4, 5, 6, 3), lambda x: x.transpose(0, 3, 1, 2)),
        ((4, 1, 5, 6), lambda x: x),
        ((4, 3, 5, 6), lambda x: x),
    ],
)
def test_every_layout_becomes_nchw(tmp_path, shape, to_nchw):
    x = pixels(*shape)
    ours = read_all(write_npz(tmp_path / "a.npz", x=x, y=Y))
    assert ours.is_contiguous()
    assert np.array_equal(ours.numpy(), to_nchw(x))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floats_from_0_to_1_are_scaled_to_bytes(tmp_path, dtype):
    x = np.array([[[0.0, 1.0], [0.5, 0.2]]] * 4, dtype=dtype)
    ours = read_all(write_npz(tmp_path / "a.npz", x=x, y=Y))
    assert ours[0].flatten().tolist() == [0, 255, 128, 51]


def test_a_test_part_of_the_file_is_kept_and_compressed_and_fortran_files_are_read(tmp_path):
    x, x_test = pixels(4, 5, 6), pixels(2, 5, 6)
    np.savez_compressed(
        tmp_path / "a.npz", x=np.asfortranarray(x), y=Y, x_test=x_test, y_test=[1, 0], other=[1]
    )
    images = find(tmp_path / "a.npz").load(0)
    assert images.train_count == 4
    assert images.labels.tolist() == [0, 1, 0, 1, 1, 0]
    assert np.array_equal(images.read(np.array([5, 0]))[:, 0].numpy(), np.stack([x_test[1], x[0]]))


@pytest.mark.parametrize(
    ("y", "names"),
    [
        ([7, -2, 7, -2], ("-2", "7")),
        ([[7], [2], [7], [2]], ("2", "7")),
        (["dog", "cat", "dog", "cat"], ("cat", "dog")),
    ],
)
def test_labels_of_any_numbers_or_text_are_numbered_in_order(tmp_path, y, names):
    images = find(write_npz(tmp_path / "a.npz", x=pixels(4, 5, 6), y=np.array(y))).load(0)
    assert images.class_names == names
    assert images.labels.tolist() == [1, 0, 1, 0]


def test_a_test_part_without_a_rare_class_works(tmp_path):
    path = write_npz(
        tmp_path / "a.npz", x=pixels(4, 5, 6), y=[0, 1, 5, 1], x_test=pixels(2, 5, 6), y_test=[1, 0]
    )
    images = find(path).load(0)
    assert images.class_names == ("0", "1", "5")
    assert images.labels.tolist() == [0, 1, 2, 1, 1, 0]


def test_labels_of_two_signednesses_stay_whole_numbers(tmp_path):
    x, y = pixels(4, 5, 6), Y.astype(np.uint64)
    images = find(write_npz(tmp_path / "a.npz", x=x, y=y, x_test=x, y_test=Y.astype(np.int64))).load(0)
    assert images.class_names == ("0", "1")


def test_size_and_channels_are_converted(tmp_path):
    path = write_npz(tmp_path / "a.npz", x=pixels(4, 5, 6), y=Y)
    assert read_all(path, image_size=8, channels=3).shape == (4, 3, 8, 8)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"y": Y}, "no array 'x'"),
        ({"x": pixels(4, 5, 6)}, "no array 'y'"),
        ({"x": pixels(4, 5, 6), "y": Y, "x_test": pixels(4, 5, 6)}, "no array 'y_test'"),
        ({"x": pixels(4, 5, 6).astype(np.int64), "y": Y}, "x in .* is int64; allowed: uint8, or float"),
        ({"x": pixels(4, 30), "y": Y}, "allowed: NHW, NHWC or NCHW"),
        ({"x": pixels(4, 5, 6, 4), "y": Y}, "allowed: NHW, NHWC or NCHW"),
        ({"x": pixels(4, 3, 6, 3), "y": Y}, "could be NCHW or NHWC"),
        ({"x": pixels(4, 0, 6), "y": Y}, "allowed: NHW"),
        ({"x": pixels(0, 5, 6), "y": Y[:0]}, "holds no images"),
        ({"x": pixels(5, 5, 6), "y": Y}, "one label for each of 5 images"),
        ({"x": pixels(4, 5, 6), "y": np.eye(4)}, "y in .* is float64; allowed: whole numbers or text"),
        ({"x": pixels(4, 5, 6), "y": np.eye(4, dtype=int)}, "one label for each"),
        ({"x": pixels(4, 5, 6), "y": np.zeros(4, dtype=int)}, "one class only, 0"),
        (
            {"x": pixels(4, 5, 6), "y": Y, "x_test": pixels(4, 5, 6), "y_test": Y + 1},
            "y_test in .* has classes that y lacks: 2; known are 0, 1",
        ),
        ({"x": pixels(4, 5, 6), "y": Y, "x_test": pixels(4, 5, 7), "y_test": Y}, "x and x_test in .* differ"),
    ],
)
def test_unusable_arrays_are_refused_in_one_sentence_before_any_pixel_is_read(tmp_path, arrays, message):
    path = write_npz(tmp_path / "a.npz", **arrays)
    with pytest.raises(ImageError, match=message) as caught:
        find(path)
    assert "a.npz" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", [1.5, -0.1, float("nan"), float("inf"), 255.0])
def test_floats_outside_0_to_1_are_refused(tmp_path, value):
    x = np.zeros((4, 5, 6), dtype=np.float32)
    x[2, 3, 4] = value
    with pytest.raises(ImageError, match="floats must be from 0 to 1"):
        read_all(write_npz(tmp_path / "a.npz", x=x, y=Y))


def test_pickled_objects_are_refused(tmp_path):
    path = write_npz(tmp_path / "a.npz", x=pixels(4, 5, 6), y=np.array([{}, 1, 2, 3], dtype=object))
    with pytest.raises(ImageError, match=r"y in .* holds pickled Python objects"):
        find(path)


def write_member(path, name: str, content: bytes, mode: str = "w") -> None:
    with zipfile.ZipFile(path, mode) as archive:
        archive.writestr(name, content)


def npy_claiming(shape: tuple[int, ...], body: bytes = b"") -> bytes:
    buffer = io.BytesIO()
    header = {"shape": shape, "fortran_order": False, "descr": "|u1"}
    np.lib.format.write_array_header_1_0(buffer, header)
    return buffer.getvalue() + body


@pytest.mark.parametrize("shape", [(10**6, 10**6, 3), (4, 5, 7), (-4, -5, 6), (4, 5)])
def test_a_header_that_lies_about_its_size_is_refused_before_allocation(tmp_path, shape):
    write_member(tmp_path / "a.npz", "x.npy", npy_claiming(shape, bytes(4 * 5 * 6)))
    with pytest.raises(ImageError, match=r"size that its header says|impossible"):
        find(tmp_path / "a.npz")


def test_arrays_larger_than_memory_are_refused(tmp_path, monkeypatch):
    path = write_npz(tmp_path / "a.npz", x=pixels(4, 50, 60), y=Y)
    monkeypatch.setattr(memory, "free_bytes", lambda: 1000)
    with pytest.raises(ImageError, match=r"x in .* memory"):
        find(path)


def test_a_text_type_that_takes_too_much_is_refused_before_a_label_is_read(tmp_path):
    write_member(tmp_path / "a.npz", "x.npy", npy_claiming((4, 5, 6), bytes(120)))
    header = io.BytesIO()
    claim = {"shape": (4,), "fortran_order": False, "descr": "<U5000000"}
    np.lib.format.write_array_header_1_0(header, claim)
    with (
        zipfile.ZipFile(tmp_path / "a.npz", "a", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("y.npy", "w") as member,
    ):
        member.write(header.getvalue())
        for label in b"abab":
            member.write(bytes([label, 0, 0, 0]).ljust(4 * 5_000_000, b"\0"))
    tracemalloc.start()
    with pytest.raises(
        ImageError, match=r"y in .* is text of 5000000 characters, which takes 76 MiB; allowed: 255"
    ):
        find(tmp_path / "a.npz")
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()


def test_a_header_that_inflates_to_megabytes_is_refused_before_it_is_read(tmp_path):
    length = 20 * 2**20
    content = b"\x93NUMPY\x02\x00" + length.to_bytes(4, "little") + b" " * length
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("x.npy", content)
    tracemalloc.start()
    with pytest.raises(ImageError, match=r"x in .* is not a readable npy array"):
        find(tmp_path / "a.npz")
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()


def test_wide_text_of_short_labels_is_read(tmp_path):
    y = np.array(["dog", "cat", "dog", "cat"], dtype="<U3000")
    images = find(write_npz(tmp_path / "a.npz", x=pixels(4, 5, 6), y=y)).load(0)
    assert images.class_names == ("cat", "dog")


def test_arrays_are_inflated_piece_by_piece(tmp_path):
    x = np.linspace(0, 1, 4 * 200 * 300, dtype=np.float64).reshape(4, 200, 300)
    np.savez_compressed(tmp_path / "a.npz", x=x, y=Y)
    source = find(tmp_path / "a.npz")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(array_members, "PIECE_BYTES", 2**14)
        images = source.load(0)
        images.read(np.arange(4))
        tracemalloc.start()
        read = images.read(np.arange(4))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert np.array_equal(read[:, 0].numpy(), np.rint(x * 255).astype(np.uint8))
    assert x.size < peak < 1.6 * x.size  # the result has a byte for each of the eight of a value


def test_a_compression_that_numpy_does_not_use_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("x.npy", npy_claiming((4, 5, 6), bytes(120)))
    with pytest.raises(ImageError, match=r"x in .* is compressed in a way that NumPy does not use"):
        find(tmp_path / "a.npz")


def test_an_array_that_is_there_twice_is_refused(tmp_path):
    path = write_npz(tmp_path / "a.npz", x=pixels(4, 5, 6), y=Y)
    with pytest.warns(UserWarning, match="Duplicate name"):
        write_member(path, "x.npy", npy_claiming((4, 5, 6), bytes(120)), mode="a")
    with pytest.raises(ImageError, match=r"a\.npz holds x twice"):
        find(path)


def test_a_missing_or_broken_file_is_refused(tmp_path):
    with pytest.raises(ImageError, match="does not exist"):
        find(tmp_path / "none.npz")
    with pytest.raises(ImageError, match="is not a file"):
        find(tmp_path)
    (tmp_path / "a.npz").write_bytes(b"not a zip")
    with pytest.raises(ImageError, match=r"a\.npz is not a readable npz file"):
        find(tmp_path / "a.npz")
    write_member(tmp_path / "a.npz", "x.npy", b"no array")
    with pytest.raises(ImageError, match=r"x in .*a\.npz is not a readable npy array"):
        find(tmp_path / "a.npz")


def test_damaged_pixels_are_found_when_they_are_read(tmp_path):
    path = write_npz(tmp_path / "a.npz", x=pixels(4, 300, 400), y=Y)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    images = find(path).load(0)
    with pytest.raises(ImageError, match=r"a\.npz is not a readable npz file: Bad CRC-32 for file .x\.npy"):
        images.read(np.arange(4))


def test_the_content_changes_with_size_and_time(tmp_path):
    path = write_npz(tmp_path / "a.npz", x=pixels(4, 5, 6), y=Y)
    first = find(path).content
    os.utime(path, ns=(1, 1))
    second = find(path).content
    write_npz(path, x=pixels(4, 5, 9), y=Y)
    os.utime(path, ns=(1, 1))
    third = find(path).content
    other = write_npz(tmp_path / "b.npz", x=255 - pixels(4, 5, 9), y=Y)
    os.utime(other, ns=(1, 1))
    other.replace(path)
    assert len({first, second, third, find(path).content}) == 4
