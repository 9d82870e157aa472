import numpy as np
import pytest

from lottery_pipeline.images.array_labels import number_labels
from lottery_pipeline.images.request import ImageError


def number(y, y_test=None):
    parts = {"y": [np.asarray(y)]} | ({} if y_test is None else {"y_test": [np.asarray(y_test)]})
    labels, names = number_labels("a.npz", parts)
    assert labels.dtype == np.int64
    return labels.tolist(), names


@pytest.mark.parametrize("first", [np.uint8, np.uint64, np.int16])
@pytest.mark.parametrize("second", [np.int64, np.uint64, np.uint8])
def test_whole_numbers_of_any_two_types_stay_whole_numbers(first, second):
    y, y_test = np.array([7, 3, 7], dtype=first), np.array([3, 7], dtype=second)
    assert number(y, y_test) == ([1, 0, 1, 0, 1], ("3", "7"))


def test_large_and_negative_numbers_keep_every_digit():
    assert number(np.array([2**64 - 1, 2**64 - 2], dtype=np.uint64)) == (
        [1, 0],
        (str(2**64 - 2), str(2**64 - 1)),
    )
    assert number([-1, -10, 2]) == ([1, 0, 2], ("-10", "-1", "2"))


def test_text_of_different_lengths_is_not_cut():
    long = "x" * 255
    assert number(["cat", "dog"], ["dog"]) == ([0, 1, 1], ("cat", "dog"))
    assert number([long, "b"], ["b", long]) == ([1, 0, 0, 1], ("b", long))


def test_a_class_that_the_test_labels_lack_keeps_its_number():
    assert number([0, 1, 5, 9], [9, 0]) == ([0, 1, 2, 3, 3, 0], ("0", "1", "5", "9"))


def test_pieces_make_no_difference():
    whole = np.array([5, 3, 9, 3, 5, 1], dtype=np.uint8)
    together = number_labels("a.npz", {"y": [whole]})
    pieces = number_labels("a.npz", {"y": np.array_split(whole, 4)})
    assert together[0].tolist() == pieces[0].tolist() == [2, 1, 3, 1, 2, 0]
    assert together[1] == pieces[1]


@pytest.mark.parametrize(
    ("y", "y_test", "message"),
    [
        ([0, 0], None, "y in a.npz has one class only, 0: at least two"),
        ([0, 1], [1, 2, 7], "y_test in a.npz has classes that y lacks: 2, 7; known are 0, 1"),
        (["a", "b"], ["c", "a"], "y_test in a.npz has classes that y lacks: c; known are a, b"),
        ([0, 1], ["0", "1"], "y and y_test in a.npz hold both whole numbers and text"),
        ([0, 1], np.arange(100), "lacks: 2, 3, .*, 11 and 88 more; known are 0, 1"),
        (["a", "b" * 256], None, "y in a.npz holds a label of 256 characters, 'b{20}'...; allowed are 255"),
        (["a", "\ud800"], None, "y in a.npz holds a text that is not valid Unicode"),
        (np.array([2**31, 97], dtype="<u4").view("<U1"), None, "text that is not valid Unicode"),
    ],
)
def test_labels_that_cannot_be_classes_are_refused_in_one_sentence(y, y_test, message):
    with pytest.raises(ImageError, match=message) as caught:
        number(y, y_test)
    assert "\n" not in str(caught.value)
