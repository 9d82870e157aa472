import hashlib
import re

import pytest
import torch
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from hypothesis import given, settings
from hypothesis import strategies as st

from lottery_pipeline.models.prunable import prunable_parameters
from lottery_pipeline.models.registry import build_model
from lottery_pipeline.ownership import locking
from lottery_pipeline.ownership.errors import OwnershipError
from lottery_pipeline.ownership.locking import (
    OpenedKey,
    hash_masks,
    lock_masks,
    merge_masks,
    open_key,
    seal_key,
)
from lottery_pipeline.ownership.path_scores import Link, find_links
from lottery_pipeline.reproducibility.seeds import make_generator
from lottery_pipeline.sparsity.masks import count_kept
from tests.tiny import draw_masks, same_bits, tiny_spec

USER = bytes(range(32))
LINKS = [Link(0, 1, "first"), Link(1, 2, "second")]
SHAPES = {"first": (4, 3, 3, 3), "second": (5, 8)}
SCORES = ["omp", "ewp", "betweenness", "random"]


def draw(seed=0, density=0.5, shapes=SHAPES):
    generator = make_generator(seed, "lock test")
    weights = {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}
    masks = {name: torch.rand(shape, generator=generator) < density for name, shape in shapes.items()}
    return masks, weights


def lock(score="omp", seed=0, **size):
    masks, weights = draw(seed)
    return masks, *lock_masks(masks, weights, score=score, links=LINKS, **(size or {"key_size": 20}))


def seal(seed=0):
    masks, key, locked = lock(seed=seed)
    return masks, locked, seal_key(key, masks, USER)


def forge(content, *, header=None, user=USER):
    """A file that decrypts, with positions of the forger's choice; what a licensed user could make."""
    _, _, data = seal()
    length = int.from_bytes(data[8:12], "little")
    header = data[12 : 12 + length] if header is None else header
    prefix = data[:8] + len(header).to_bytes(4, "little") + header
    cipher_key, _ = locking._derive_keys(user)
    return prefix + bytes(12) + ChaCha20Poly1305(cipher_key).encrypt(bytes(12), content, prefix)


def header_of(data):
    return data[12 : 12 + int.from_bytes(data[8:12], "little")]


@given(
    st.sampled_from(SCORES), st.integers(0, 50), st.floats(0.05, 1.0), st.floats(0.0, 1.0, exclude_max=True)
)
@settings(max_examples=60)
def test_key_and_locked_mask_split_the_mask_exactly(score, seed, density, place):
    masks, weights = draw(seed, density)
    kept = count_kept(masks)
    if kept < 2:
        return
    size = 1 + int(place * (kept - 1))
    key, locked = lock_masks(masks, weights, score=score, key_size=size, links=LINKS, seed=seed)
    assert count_kept(key) == size
    for name, mask in masks.items():
        assert not (key[name] & locked[name]).any()
        assert torch.equal(key[name] | locked[name], mask)


def test_the_magnitude_key_of_a_small_network_is_the_one_on_paper():
    weights = {"a": torch.tensor([[0.1, -5.0], [3.0, 9.0]]), "b": torch.tensor([[-4.0, 3.0]])}
    masks = {"a": torch.tensor([[True, True], [True, False]]), "b": torch.tensor([[True, True]])}
    key, locked = lock_masks(masks, weights, score="omp", key_size=3)
    # 5 and 4 are largest; of the two threes, that of the first layer comes first; 9 is pruned.
    assert key["a"].tolist() == [[False, True], [True, False]]
    assert key["b"].tolist() == [[True, False]]
    assert locked["a"].tolist() == [[True, False], [False, False]]


def test_the_path_key_takes_the_heaviest_cell_first_and_its_largest_weight_before_the_rest():
    # Of the mass of 6 * 2 + 1 * 1, both cells of the path through channel 1 carry 12.
    weights = {"first": torch.tensor([[[0.0, 1.0]], [[4.0, -2.0]]]), "second": torch.tensor([[1.0, 2.0]])}
    masks = {name: torch.ones_like(weight, dtype=torch.bool) for name, weight in weights.items()}
    orders = [lock_masks(masks, weights, score="ewp", key_size=size, links=LINKS)[0] for size in (1, 2, 3)]
    assert orders[0]["first"].tolist() == [[[False, False]], [[True, False]]]
    assert orders[1]["first"].tolist() == orders[2]["first"].tolist() == [[[False, False]], [[True, True]]]
    assert orders[1]["second"].tolist() == [[False, False]]
    assert orders[2]["second"].tolist() == [[False, True]]


def test_a_residual_network_can_be_locked_with_every_score():
    model = build_model(tiny_spec("resnet20", width=8), seed=0)
    weights = {name: weight.detach() for name, weight in prunable_parameters(model).items()}
    masks, links = draw_masks(weights, density=0.002), find_links(model)
    for score in SCORES:
        key, locked = lock_masks(masks, weights, score=score, share=0.1, links=links)
        assert count_kept(key) == count_kept(masks) // 10
        assert count_kept(locked) == count_kept(masks) - count_kept(key)


def test_a_random_key_depends_on_its_seed_only():
    masks, weights = draw()
    keys = [lock_masks(masks, weights, score="random", key_size=20, seed=seed)[0] for seed in (1, 1, 2)]
    assert same_bits(keys[0], keys[1])
    assert not same_bits(keys[0], keys[2])


def test_a_share_is_rounded_down():
    masks, key, _ = lock(share=0.29)
    assert count_kept(key) == int(0.29 * count_kept(masks))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"key_size": 0}, "must hold 1 to"),
        ({"key_size": 10_000}, "must hold 1 to"),
        ({"share": 0.0001}, "must hold 1 to"),
        ({"share": 1.0}, "share must be between 0 and 1"),
        ({"share": float("nan")}, "share must be between 0 and 1"),
        ({}, "give either key_size or share"),
        ({"key_size": 3, "share": 0.1}, "give either key_size or share"),
        ({"key_size": 3, "score": "best"}, "score must be one of omp, ewp, betweenness, random"),
        ({"key_size": 3, "score": "ewp", "links": None}, "needs the links"),
        ({"key_size": 3, "score": "ewp", "links": LINKS[:1]}, "lacks the masked layers"),
    ],
)
def test_a_key_that_cannot_be_made_is_refused(changes, message):
    masks, weights = draw()
    with pytest.raises(OwnershipError, match=message):
        lock_masks(masks, weights, **{"score": "omp", "links": LINKS, **changes})


def test_weights_that_do_not_fit_are_refused():
    masks, weights = draw()
    with pytest.raises(OwnershipError, match="no weights for the masks"):
        lock_masks(masks, {"first": weights["first"]}, score="omp", key_size=3)
    with pytest.raises(OwnershipError, match="has shape"):
        lock_masks({**masks, "second": masks["second"].T}, weights, score="omp", key_size=3)
    weights["second"][0, 0] = torch.nan
    with pytest.raises(OwnershipError, match="second are not all finite"):
        lock_masks(masks, weights, score="omp", key_size=3)


def test_the_hash_is_that_of_the_packed_bits():
    masks = {"a": torch.tensor([[True, False, True]]), "b": torch.tensor([True] * 9)}
    assert hash_masks(masks) == hashlib.sha256(bytes([0b10100000, 0b11111111, 0b10000000])).hexdigest()


@given(st.integers(0, 1000), st.floats(0.01, 0.99), st.integers(1, 5000))
@settings(max_examples=30)
def test_a_sealed_key_opens_to_the_same_bits(seed, density, size):
    masks, weights = draw(seed, density, {"a": (size,), "b": (3, 3), "c": (2, 2, 3, 3)})
    if count_kept(masks) < 2:
        return
    key, locked = lock_masks(masks, weights, score="random", key_size=1, seed=seed)
    if seed % 2:
        key, locked = locked, key
    opened = open_key(seal_key(key, masks, USER), USER, {name: tuple(m.shape) for name, m in masks.items()})
    assert same_bits(opened.masks, key)
    assert same_bits(merge_masks(locked, opened), masks)


def test_a_position_far_into_a_layer_takes_several_bytes():
    mask = torch.zeros(3_000_000, dtype=torch.bool)
    mask[[0, 127, 128, 255, 256, 16_640, 2_999_999]] = True
    opened = open_key(seal_key({"a": mask}, {"a": mask}, USER), USER, {"a": (3_000_000,)})
    assert torch.equal(opened.masks["a"], mask)


def test_equal_content_is_sealed_alike_and_other_content_with_another_nonce():
    _, _, first = seal()
    _, _, again = seal()
    masks, _, other = seal(seed=1)
    assert first == again
    length = len(header_of(first))
    assert first[12 + length : 24 + length] != other[12 + length : 24 + length]
    assert seal_key(masks, masks, bytes(32)) != seal_key(masks, masks, USER)


def test_a_sealed_key_tells_neither_its_size_nor_its_positions():
    masks, key, _ = lock(key_size=7)
    header = header_of(seal_key(key, masks, USER)).decode()
    assert hash_masks(masks) in header
    assert "kept" not in header
    assert ":7," not in header


def test_a_key_of_about_a_tenth_takes_little_more_than_a_byte_a_weight():
    mask = torch.rand(100_000, generator=make_generator(0, "size")) < 0.02
    data = seal_key({"a": mask}, {"a": mask}, USER)
    assert len(data) < 1.5 * count_kept({"a": mask}) + 300


def test_only_keys_within_the_mask_are_sealed():
    masks, key, locked = lock()
    empty = {name: torch.zeros_like(mask) for name, mask in masks.items()}
    for wrong, full in ((empty, masks), (masks, locked)):
        with pytest.raises(OwnershipError, match="at least one weight, and only weights"):
            seal_key(wrong, full, USER)
    with pytest.raises(OwnershipError, match="differ in their names"):
        seal_key({"first": key["first"]}, masks, USER)
    with pytest.raises(OwnershipError, match="header of the key file is wrong"):
        seal_key({"\n": key["first"]}, {"\n": masks["first"]}, USER)
    for user in (b"short", bytes(33), "0" * 32):
        with pytest.raises(OwnershipError, match="must be 32 bytes"):
            seal_key(key, masks, user)


DATA = seal()[2]
HEADER = header_of(DATA)
BODY = 12 + len(HEADER)
HASH = HEADER[HEADER.index(b'256":"') + 6 :][:64]
NOT_A_KEY, LENGTH, DAMAGED = "is not a key file", "declares a header of", "damaged or sealed for another user"
NOT_JSON, OTHER_LAYERS, UNPACKED = "not valid JSON", "model with other layers", "not packed as they must be"
WRONG, NO_POSITIONS = "header of the key file is wrong", "does not hold positions of first"


def flip(place):
    return DATA[:place] + bytes([DATA[place] ^ 1]) + DATA[place + 1 :]


def with_header(old, new):
    assert old in HEADER
    return forge(b"\0\0", header=HEADER.replace(old, new))


HOSTILE = {
    "empty": (b"", NOT_A_KEY),
    "magic only": (DATA[:8], NOT_A_KEY),
    "header length only": (DATA[:12], LENGTH),
    "another magic": (b"LTKEY2\r\n" + DATA[8:], NOT_A_KEY),
    "text": (b"not a key file at all, whatever it says", NOT_A_KEY),
    "pickle": (b"\x80\x04\x95" + DATA[3:], NOT_A_KEY),
    "other line ends": (DATA[:6] + b"\n\n" + DATA[8:], NOT_A_KEY),
    "cut in the header": (DATA[: BODY // 2], LENGTH),
    "cut after the header": (DATA[:BODY], LENGTH),
    "cut in the nonce": (DATA[: BODY + 5], LENGTH),
    "cut in the tag": (DATA[:-1], DAMAGED),
    "one byte more": (DATA + b"\0", DAMAGED),
    "two megabytes more": (DATA + bytes(2**21), "at most 1048922 bytes, but this has"),
    "header flipped": (flip(12), NOT_JSON),
    "nonce flipped": (flip(BODY), DAMAGED),
    "body flipped": (flip(BODY + 13), DAMAGED),
    "tag flipped": (flip(len(DATA) - 1), DAMAGED),
    "vast header length": (DATA[:8] + b"\xff\xff\xff\xff" + DATA[12:], LENGTH),
    "header length zero": (DATA[:8] + bytes(4) + DATA[12:], NOT_JSON),
    "header length off by one": (DATA[:8] + (len(HEADER) - 1).to_bytes(4, "little") + DATA[12:], NOT_JSON),
    "hash changed": (DATA.replace(HASH, b"0" * 64), DAMAGED),
    "another user": (forge(b"\0\0", user=bytes(32)), DAMAGED),
    "header of nulls": (forge(b"\0\0", header=bytes(50)), NOT_JSON),
    "header not an object": (forge(b"\0\0", header=b"[]"), WRONG),
    "header with blanks": (with_header(b":", b": "), "not canonical"),
    "unknown field": (with_header(b'"version":1', b'"version":1,"x":1'), WRONG),
    "field twice": (with_header(b'"version":1', b'"version":1,"version":1'), "appears twice"),
    "another format": (with_header(b"line.key", b"line.ticket"), WRONG),
    "another version": (with_header(b'"version":1', b'"version":2'), WRONG),
    "version as text": (with_header(b'"version":1', b'"version":"1"'), WRONG),
    "float": (with_header(b"[5,8]", b"[5,8.0]"), "only integers"),
    "negative size": (with_header(b"[5,8]", b"[-5,-8]"), WRONG),
    "size beyond all bounds": (with_header(b"[5,8]", b"[5,9007199254740991]"), WRONG),
    "vast shape": (with_header(b"[5,8]", b"[1073741824,1073741824]"), OTHER_LAYERS),
    "other shapes": (with_header(b"[5,8]", b"[8,5]"), OTHER_LAYERS),
    "other names": (with_header(b'"second"', b'"third"'), OTHER_LAYERS),
    "no layers": (forge(b"\0\0", header=re.sub(rb"\[\{.*\}\]", b"[]", HEADER)), WRONG),
    "deep header": (forge(b"\0\0", header=b"[" * 50_000 + b"]" * 50_000), "deeper than"),
    "header not in UTF-8": (with_header(b"second", b"se\xffond"), NOT_JSON),
    "hash too long": (with_header(HASH, HASH + b"0"), WRONG),
    "no positions": (forge(b""), UNPACKED),
    "open number": (forge(b"\x80"), UNPACKED),
    "endless number": (forge(b"\xff" * 20 + b"\x01"), UNPACKED),
    "needless zeros": (forge(b"\x80\x00\1\0"), UNPACKED),
    "one layer short": (forge(b"\1\0"), "does not hold positions of second"),
    "one number more": (forge(b"\1\0\0\0"), "more positions than its layers have"),
    "count beyond the layer": (forge(b"\x6d" + bytes(109) + b"\0"), NO_POSITIONS),
    "count beyond the file": (forge(b"\x05\0\0"), NO_POSITIONS),
    "vast count": (forge(b"\xff\xff\xff\xff\x7f"), NO_POSITIONS),
    "gap beyond the layer": (forge(b"\1\x6c\0"), NO_POSITIONS),
    "vast gap": (forge(b"\1\xff\xff\xff\xff\x7f\0"), NO_POSITIONS),
    "gaps that add up beyond": (forge(b"\2\x35\x36\0"), "positions beyond the end of first"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_key_file_is_refused_with_one_sentence(name):
    data, message = HOSTILE[name]
    with pytest.raises(OwnershipError, match=message) as refusal:
        open_key(data, USER, SHAPES)
    assert "\n" not in str(refusal.value)


def test_the_forger_of_these_tests_can_also_make_a_good_file():
    opened = open_key(forge(b"\2\x35\x35\1\0"), USER, SHAPES)
    assert opened.masks["first"].reshape(-1).nonzero().squeeze(1).tolist() == [53, 107]
    assert opened.masks["second"].reshape(-1).nonzero().squeeze(1).tolist() == [0]
    assert len(HOSTILE) >= 30


@given(st.binary(max_size=300) | st.binary(max_size=200).map(lambda tail: DATA[:8] + tail))
@settings(max_examples=100)
def test_random_bytes_are_never_a_key(data):
    with pytest.raises(OwnershipError):
        open_key(data, USER, SHAPES)


@given(st.integers(0, len(DATA) * 8 - 1))
@settings(max_examples=100)
def test_no_bit_of_a_key_file_can_be_changed(bit):
    data = bytearray(DATA)
    data[bit // 8] ^= 1 << bit % 8
    with pytest.raises(OwnershipError):
        open_key(bytes(data), USER, SHAPES)


def test_a_correct_key_restores_the_mask():
    masks, locked, data = seal()
    assert same_bits(merge_masks(locked, open_key(data, USER, SHAPES)), masks)


def test_a_key_opens_for_its_user_and_model_only():
    _, _, data = seal()
    with pytest.raises(OwnershipError, match="damaged or sealed for another user"):
        open_key(data, bytes(32), SHAPES)
    for shapes in ({"first": (4, 3, 3, 3)}, {**SHAPES, "third": (1,)}, dict(reversed(SHAPES.items()))):
        with pytest.raises(OwnershipError, match="model with other layers"):
            open_key(data, USER, shapes)


def test_a_key_merges_with_its_own_locked_mask_only():
    masks, locked, data = seal()
    opened = open_key(data, USER, SHAPES)
    with pytest.raises(OwnershipError, match="has already"):
        merge_masks(masks, opened)
    thinner = {name: mask.clone() for name, mask in locked.items()}
    thinner["second"].view(-1)[thinner["second"].view(-1).nonzero()[0]] = False
    with pytest.raises(OwnershipError, match="SHA-256 of the result is wrong"):
        merge_masks(thinner, opened)
    with pytest.raises(OwnershipError, match="has shape"):
        merge_masks({**locked, "second": locked["second"].T}, opened)
    with pytest.raises(OwnershipError, match="SHA-256"):
        merge_masks(locked, OpenedKey(opened.masks, "0" * 64))
