import math
import platform
import subprocess
import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lottery_pipeline.sparsity import (
    MaskError,
    SelectionError,
    are_nested,
    count_kept,
    keep_top_k,
)
from lottery_pipeline.sparsity.selection import _mark_on_device, _top_k, mark_top_k
from tests.reference.selection import keep_top_k_naive

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


def kept_indices(mask):
    return mask.reshape(-1).nonzero().squeeze(1).tolist()


def scores_of(*layers):
    return {f"layer{index}": torch.tensor(values) for index, values in enumerate(layers)}


@st.composite
def scores_and_count(draw):
    # Few distinct values, so that ties are the rule.
    value = st.sampled_from([-math.inf, -2.0, -0.0, 0.0, 1.0, 1.5, math.inf])
    layers = draw(st.lists(st.lists(value, min_size=1, max_size=12), min_size=1, max_size=4))
    return scores_of(*layers), draw(st.integers(1, sum(map(len, layers))))


def test_of_equal_scores_the_first_indices_survive():
    assert kept_indices(keep_top_k({"w": torch.tensor([3.0, 1, 3, 2, 0])}, 3)["w"]) == [0, 2, 3]
    assert kept_indices(keep_top_k({"w": torch.full((4,), 5.0)}, 2)["w"]) == [0, 1]


def test_ties_across_layers_go_to_the_earlier_layer():
    masks = keep_top_k(scores_of([1.0, 7.0], [7.0, 7.0], [7.0]), 3)
    assert [kept_indices(mask) for mask in masks.values()] == [[1], [0, 1], []]


@pytest.mark.parametrize("scope", ["global", "layer"])
def test_nan_scores_are_an_error(scope):
    k = {"w": 1} if scope == "layer" else 1
    with pytest.raises(SelectionError, match="scores of w contain NaN"):
        keep_top_k({"w": torch.tensor([1.0, math.nan])}, k, scope=scope)


@pytest.mark.parametrize("k", [0, 6, -1, 2.0, True])
def test_a_count_out_of_range_is_an_error(k):
    with pytest.raises(SelectionError, match="whole number from 1 to 5"):
        keep_top_k({"w": torch.arange(5.0)}, k)


@given(scores_and_count())
def test_selection_equals_a_full_sort(case):
    scores, k = case
    masks = keep_top_k(scores, k)
    expected = keep_top_k_naive(scores, k)
    assert list(masks) == list(scores)
    assert all(torch.equal(masks[name], expected[name]) for name in scores)


@given(scores_and_count(), st.integers(0, 2**31), st.data())
def test_selection_within_masks_is_nested_and_exact(case, seed, data):
    scores, k = case
    outer = keep_top_k(scores, k)
    generator = torch.Generator().manual_seed(seed)
    fresh = {
        name: torch.randint(0, 3, score.shape, generator=generator).float() for name, score in scores.items()
    }
    fewer = data.draw(st.integers(1, k))
    inner = keep_top_k(fresh, fewer, within=outer)
    assert count_kept(inner) == fewer
    assert are_nested(inner, outer)
    expected = keep_top_k_naive(fresh, fewer, within=outer)
    assert all(torch.equal(inner[name], expected[name]) for name in scores)


@given(scores_and_count())
def test_a_device_marks_what_the_host_marks(case):
    scores, k = case
    flat = torch.cat(list(scores.values()))
    found = _mark_on_device(flat, k) if k < len(flat) else mark_top_k(flat, k)
    assert torch.equal(found, mark_top_k(flat, k))
    assert int(found.sum()) == k


@given(scores_and_count(), st.integers(0, 2**31))
def test_a_device_marks_within_masks_what_the_host_marks(case, seed):
    flat, k = torch.cat(list(case[0].values())), case[1]
    allowed = torch.rand(len(flat), generator=torch.Generator().manual_seed(seed)) < 0.7
    k = min(k, int(allowed.sum()))
    found = _mark_on_device(flat.masked_fill(~allowed, -math.inf), k, allowed)
    assert torch.equal(found, _top_k(flat, k, allowed))


@pytest.mark.parametrize("k", [0, 2, 5, 8])
def test_marking_on_a_device_does_not_look_at_a_number(k):
    scores, allowed = torch.empty(8, device="meta"), torch.empty(8, dtype=torch.bool, device="meta")
    assert mark_top_k(scores, k).shape == (8,)  # there are no numbers there
    assert _top_k(scores, k, allowed).shape == (8,)


def test_pruned_weights_do_not_come_back_whatever_their_score():
    outer = {"w": torch.tensor([True, False, True, False])}
    masks = keep_top_k({"w": torch.tensor([0.0, 9, 0, math.inf])}, 2, within=outer)
    assert kept_indices(masks["w"]) == [0, 2]


def test_keeping_more_than_is_allowed_is_an_error():
    outer = {"w": torch.tensor([True, False, True])}
    with pytest.raises(SelectionError, match="from 1 to 2"):
        keep_top_k({"w": torch.arange(3.0)}, 3, within=outer)
    with pytest.raises(SelectionError, match="from 0 to 2 in w"):
        keep_top_k({"w": torch.arange(3.0)}, {"w": 3}, scope="layer", within=outer)


def test_each_layer_keeps_its_own_count():
    scores = scores_of([1.0, 2.0, 3.0], [9.0, 9.0, 9.0], [5.0])
    masks = keep_top_k(scores, {"layer0": 1, "layer1": 2, "layer2": 0}, scope="layer")
    assert [kept_indices(mask) for mask in masks.values()] == [[2], [0, 1], []]


def test_counts_must_fit_the_scope():
    scores = scores_of([1.0, 2.0], [3.0])
    with pytest.raises(SelectionError, match="one k for each of the 2"):
        keep_top_k(scores, {"layer0": 1}, scope="layer")
    with pytest.raises(SelectionError, match="one k for each of the 2"):
        keep_top_k(scores, 2, scope="layer")
    with pytest.raises(SelectionError, match="one number k"):
        keep_top_k(scores, {"layer0": 1, "layer1": 1})
    with pytest.raises(SelectionError, match="'global' or 'layer'"):
        keep_top_k(scores, 1, scope="local")


def test_masks_of_other_weights_are_refused_as_within():
    with pytest.raises(MaskError, match="names"):
        keep_top_k({"w": torch.arange(3.0)}, 1, within={"v": torch.ones(3, dtype=torch.bool)})


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64, torch.int32])
def test_every_real_dtype_ranks(dtype):
    masks = keep_top_k({"w": torch.tensor([1, 3, 3, 2], dtype=dtype)}, 2)
    assert kept_indices(masks["w"]) == [1, 2]


def test_complex_scores_are_an_error():
    with pytest.raises(SelectionError, match="complex"):
        keep_top_k({"w": torch.zeros(2, dtype=torch.complex64)}, 1)


def test_scores_keep_their_shape_gradient_and_values():
    score = torch.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    masks = keep_top_k({"w": score}, 3)
    assert masks["w"].tolist() == [[False, True], [True, True]]
    assert masks["w"].dtype == torch.bool
    assert score.tolist() == [[1.0, 2.0], [3.0, 4.0]]


def test_a_transposed_score_is_ranked_in_its_logical_order():
    score = torch.tensor([[0.0, 5.0], [5.0, 5.0]]).t()
    assert kept_indices(keep_top_k({"w": score}, 2)["w"]) == [1, 2]


@pytest.mark.parametrize("k", [1, 37_313, 65_536, 99_999, 131_072])
def test_large_layers_keep_exactly_k_with_ties_by_index(k):
    score = torch.randint(0, 50, (2**17,), generator=torch.Generator().manual_seed(k)).float()
    mask = keep_top_k({"w": score}, k)["w"]
    order = torch.sort(score, descending=True, stable=True).indices[:k]
    assert kept_indices(mask) == sorted(order.tolist())


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("k", [1, 5_000, 90_000])
def test_the_device_does_not_change_the_choice(k, device):
    score = torch.randint(0, 50, (100_000,), generator=torch.Generator().manual_seed(0)).float()
    mask = keep_top_k({"w": score.to(device)}, k)["w"]
    assert mask.device.type == device
    assert torch.equal(mask.cpu(), keep_top_k_naive({"w": score}, k)["w"])


# Bytes for each score that a selection takes beside the scores and the masks it starts from.
PROGRAM = """
import re
from pathlib import Path
import torch
from lottery_pipeline.sparsity.selection import keep_top_k
def peak():
    return 1024 * int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
size = 2**22
scores = {"w": torch.arange(size, dtype=torch.float64)}
within = {"w": torch.arange(size) % 10 > 0}
before = peak()
keep_top_k(scores, size // 2, within=within)
print((peak() - before) / size)
"""


@pytest.mark.skipif(platform.system() != "Linux", reason="only Linux tells a process its peak")
def test_a_selection_takes_no_copies_but_one_of_all_scores_and_one_of_those_allowed() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert 0 < float(done.stdout) < 20
