import math

import pytest
import torch

from lottery_pipeline.reproducibility.fingerprints import FINGERPRINT_LENGTH, fingerprint, fingerprint_tensors


def test_the_order_of_keys_does_not_matter():
    assert fingerprint({"a": 1, "b": [2, 3]}) == fingerprint({"b": [2, 3], "a": 1})


def test_the_hash_is_sha256_of_canonical_json():
    assert fingerprint({}) == "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
    assert len(fingerprint({"a": 1})) == FINGERPRINT_LENGTH


@pytest.mark.parametrize("other", [{"seed": 1}, {"seed": "0"}, {"seed": 0.5}, {"seed": 0, "more": None}])
def test_every_change_of_value_or_type_changes_the_hash(other):
    assert fingerprint(other) != fingerprint({"seed": 0})


def test_numbers_that_are_not_finite_are_refused():
    with pytest.raises(ValueError, match="JSON"):
        fingerprint({"loss": math.nan})


def test_tensor_hashes_see_name_dtype_shape_and_value():
    base = {"w": torch.zeros(2, 3)}
    others = [
        {"v": torch.zeros(2, 3)},
        {"w": torch.zeros(3, 2)},
        {"w": torch.zeros(2, 3, dtype=torch.int32)},
        {"w": torch.tensor([[0.0, 0, 0], [0, 0, 1e-30]])},
    ]
    assert len({fingerprint_tensors(tensors) for tensors in [base, *others]}) == 5


def test_tensor_hashes_ignore_memory_layout_and_order_of_names():
    image = torch.arange(24.0).reshape(1, 2, 3, 4)
    scalar = torch.tensor(3)
    plain = fingerprint_tensors({"x": image, "n": scalar})
    assert plain == fingerprint_tensors({"n": scalar, "x": image.to(memory_format=torch.channels_last)})


class InPieces:
    """A tensor that comes in pieces of two."""

    def __init__(self, tensor):
        self.shape, self.dtype, self._tensor = tensor.shape, tensor.dtype, tensor

    def pieces(self):
        return iter(self._tensor.split(2))


def test_a_tensor_in_pieces_has_the_hash_of_the_whole():
    whole = {"b": torch.arange(15).view(5, 3), "a": torch.zeros(0, 3)}
    pieces = {name: InPieces(tensor) for name, tensor in whole.items()}
    assert fingerprint_tensors(pieces) == fingerprint_tensors(whole)
