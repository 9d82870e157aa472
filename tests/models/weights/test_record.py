import pytest
from pydantic import ValidationError

from lottery_pipeline.models.weights.record import WeightsRecord, describe_weights, list_names

PLAIN = {
    "file": "r18.pt",
    "tensors": 122,
    "tensors_taken": 122,
    "values": 1000,
    "values_taken": 1000,
    "sha256": "0" * 64,
}


def test_what_was_taken_is_said_in_one_sentence() -> None:
    words = "theta_0 is r18.pt: 1,000 of the network's 1,000 values (122 of 122 tensors)."
    assert describe_weights(WeightsRecord(**PLAIN)) == words


def test_what_was_not_taken_is_named() -> None:
    changes = {
        "fresh": ("fc.weight", "fc.bias"),
        "classes": 1000,
        "adapted": ("conv1.weight",),
        "converted": ("float16",),
        "unused": 30,
        "unused_names": tuple(f"aux{number}" for number in range(20)),
    }
    assert describe_weights(WeightsRecord(**PLAIN | changes)).partition(". ")[2] == (
        "The last layer (fc.weight, fc.bias) starts fresh, because the file has 1000 classes. conv1.weight "
        "was fitted to the number of channels of these images. Values were converted to float32 from "
        "float16. Not used of the file: 30 tensors (aux0, aux1, aux2, aux3, aux4 and 25 more)."
    )


@pytest.mark.parametrize(
    "change", [{"file": "x" * 301}, {"tensors": -1}, {"sha256": "x"}, {"fresh": ("a",) * 65}]
)
def test_a_record_from_a_stranger_is_bounded(change: dict) -> None:
    with pytest.raises(ValidationError):
        WeightsRecord(**PLAIN | change)


def test_names_are_shown_plain_and_cut() -> None:
    assert list_names(["a\n", "ü" * 90]) == "a\\n, " + ("\\xfc" * 20)
