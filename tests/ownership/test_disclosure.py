import json
from collections.abc import Iterator
from dataclasses import replace

import pytest
import safetensors.torch
import torch

from lottery_pipeline.ownership import disclosure as module
from lottery_pipeline.ownership.commitment import Secrets, hash_key
from lottery_pipeline.ownership.credential import make_bundle, sign_commitment
from lottery_pipeline.ownership.disclosure import (
    DISCLOSURE_KEY,
    check_disclosure,
    make_disclosure,
    read_disclosure,
)
from lottery_pipeline.ownership.errors import OwnershipError
from lottery_pipeline.ownership.merkle import merkle_root
from lottery_pipeline.ownership.triggers import make_trigger_sets
from lottery_pipeline.tickets.tensor_file import canonical, tensor_file_bytes
from tests.ownership.marks import key_of
from tests.ownership.owners import make_commitment, make_key, sha
from tests.tiny import draw_images, same_bits

SECRETS = Secrets(key_of(1), tuple(key_of(number) for number in range(2, 6)))
SETS = make_trigger_sets(SECRETS.trigger_keys, draw_images(side=6), family="pattern", count=5)
CLASSES = 3
KEY = make_key()
BUNDLE = make_bundle(
    sign_commitment(
        make_commitment(
            KEY,
            mask_key=hash_key(SECRETS.mask_key),
            trigger_keys=tuple(hash_key(key) for key in SECRETS.trigger_keys),
            trigger_root=merkle_root([one.leaf() for one in SETS]).hex(),
        ),
        KEY,
    )
)


def disclose(number=0):
    return make_disclosure(BUNDLE, SECRETS, SETS, number)


def read(content, tmp_path):
    path = tmp_path / "disclosure.safetensors"
    path.write_bytes(content)
    return read_disclosure(path)


@pytest.mark.parametrize("number", range(4))
def test_what_is_revealed_is_read_back_and_holds(number, tmp_path):
    made = disclose(number)
    found = read(made.to_bytes(), tmp_path)
    assert (found.commitment, found.mask_key, found.number) == (
        BUNDLE.commitment_digest,
        SECRETS.mask_key,
        number,
    )
    assert found.path == made.path
    assert same_bits(found.triggers.to_tensors(), SETS[number].to_tensors())
    assert check_disclosure(found, BUNDLE, CLASSES) is None


def test_the_same_disclosure_has_the_same_bytes(tmp_path):
    content = disclose().to_bytes()
    assert content == disclose().to_bytes() == read(content, tmp_path).to_bytes()


def test_drawn_triggers_can_be_revealed_too(tmp_path):
    sets = make_trigger_sets(SECRETS.trigger_keys, draw_images(side=6), family="shapes", count=3)
    found = read(make_disclosure(BUNDLE, SECRETS, sets, 1).to_bytes(), tmp_path)
    assert (found.triggers.family, found.triggers.bases) == ("shapes", None)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"commitment": sha("another")}, "belongs to another credential"),
        ({"mask_key": key_of(9)}, "the key of the mark is not the one"),
        ({"mask_key": SECRETS.trigger_keys[0]}, "the key of the mark is not the one"),
        ({"mask_key": b""}, "the key of the mark is not the one"),
        ({"number": 1}, "the key of the trigger set is not the one"),
        ({"triggers": SETS[1]}, "the key of the trigger set is not the one"),
        ({"triggers": replace(SETS[0], key=SETS[1].key)}, "the key of the trigger set is not the one"),
        ({"triggers": replace(SETS[0], labels=(SETS[0].labels + 1) % 3)}, "not one of those that the owner"),
        ({"triggers": replace(SETS[0], images=255 - SETS[0].images)}, "not one of those that the owner"),
        ({"triggers": replace(SETS[0], bases=SETS[1].bases)}, "not one of those that the owner"),
        ({"path": ()}, "not one of those that the owner"),
        ({"path": disclose(1).path}, "not one of those that the owner"),
        ({"path": disclose().path[::-1]}, "not one of those that the owner"),
        ({"path": (*disclose().path, bytes(32))}, "not one of those that the owner"),
        ({"path": (b"", b"")}, "not one of those that the owner"),
    ],
)
def test_what_the_owner_did_not_commit_to_is_refused(changes, reason):
    with pytest.raises(OwnershipError, match=reason):
        check_disclosure(replace(disclose(), **changes), BUNDLE, CLASSES)


def test_a_set_that_is_committed_to_but_does_not_follow_from_its_key_is_refused():
    """An owner, too, may not choose labels or images: here the root is that of chosen ones."""
    chosen = replace(SETS[0], labels=(SETS[0].labels + 1) % 3)
    sets = [chosen, *SETS[1:]]
    commitment = BUNDLE.commitment.model_copy(
        update={"trigger_root": merkle_root([one.leaf() for one in sets]).hex()}
    )
    bundle = make_bundle(sign_commitment(commitment, KEY))
    with pytest.raises(OwnershipError, match="labels of this trigger set are not those that its key gives"):
        check_disclosure(make_disclosure(bundle, SECRETS, sets, 0), bundle, CLASSES)
    with pytest.raises(OwnershipError, match="labels of this trigger set"):  # of a model with more classes
        check_disclosure(disclose(), BUNDLE, CLASSES + 40)


HEADER = {
    "version": 1,
    "commitment": BUNDLE.commitment_digest,
    "mask_key": SECRETS.mask_key.hex(),
    "number": 0,
    "path": [step.hex() for step in disclose().path],
}
TENSORS = SETS[0].to_tensors()


def written(header=None, tensors=None) -> bytes:
    copies = {name: tensor.clone() for name, tensor in (TENSORS if tensors is None else tensors).items()}
    return tensor_file_bytes(copies, HEADER if header is None else header, key=DISCLOSURE_KEY)


def with_metadata(metadata) -> bytes:
    return safetensors.torch.save(TENSORS, metadata=metadata)


def headers() -> Iterator[tuple[str, bytes, str]]:
    for field in HEADER:
        rest = {name: value for name, value in HEADER.items() if name != field}
        if field != "version":  # it has only one value, so it may be left out
            yield f"without {field}", written(rest), "header of the disclosure is wrong"
    for name, changes in (
        ("unknown field", {"keys": []}),
        ("version 2", {"version": 2}),
        ("version in words", {"version": "1"}),
        ("short digest", {"commitment": "0" * 63}),
        ("digest in capitals", {"commitment": "A" * 64}),
        ("digest that is a list", {"commitment": ["0" * 64]}),
        ("short key", {"mask_key": "00"}),
        ("long key", {"mask_key": "0" * 66}),
        ("key that is not hexadecimal", {"mask_key": "z" * 64}),
        ("key that is a number", {"mask_key": 0}),
        ("negative number", {"number": -1}),
        ("number 4", {"number": 4}),
        ("number in words", {"number": "0"}),
        ("number that is a list", {"number": [0]}),
        ("path of text", {"path": "0" * 64}),
        ("path with a short step", {"path": ["00"]}),
        ("path of five steps", {"path": ["0" * 64] * 5}),
        ("path of 100,000 steps", {"path": ["0" * 64] * 10_000}),
        ("path with a number", {"path": [0]}),
    ):
        yield name, written({**HEADER, **changes}), "header of the disclosure is wrong"
    for name, value in (("float", 0.5), ("null", None), ("boolean", True)):
        yield name, written({**HEADER, "number": value}), "other than objects, lists, strings and integers"
    yield "huge number", written({**HEADER, "number": 2**60}), "53 bits"
    yield "surrogate", written({**HEADER, "commitment": "\udfff" * 64}), "surrogate"
    for depth in (50, 900):
        deep = json.loads("[" * depth + "]" * depth)
        yield f"{depth} levels", written({**HEADER, "path": deep}), "wrong|recursion|nested"
    yield "no levels at all", written({}), "header of the disclosure is wrong"


def tensors() -> Iterator[tuple[str, bytes, str]]:
    for name in TENSORS:
        rest = {other: tensor for other, tensor in TENSORS.items() if other != name}
        if name != "bases":  # then it is a set of drawn images, which check_disclosure refuses
            yield f"without {name}", written(tensors=rest), "key, images, labels"
    bytes_of = torch.zeros(32, dtype=torch.uint8)
    images, labels = TENSORS["images"], TENSORS["labels"]
    for name, changes, reason in (
        ("unknown tensor", {"weights": labels}, "key, images, labels"),
        ("key of 31 bytes", {"key": bytes_of[:31]}, "32 bytes"),
        ("key of floats", {"key": bytes_of.float()}, "32 bytes"),
        ("key in a matrix", {"key": bytes_of.reshape(1, 32)}, "32 bytes"),
        ("images of floats", {"images": images.float()}, "uint8"),
        ("flat images", {"images": images.flatten(1)}, "uint8 of shape"),
        ("no images", {"images": images[:0], "bases": images[:0], "labels": labels[:0]}, "1 to 10000 images"),
        ("tiny images", {"images": images[..., :2, :2].contiguous()}, "4 to 1024 pixels"),
        ("wide images", {"images": torch.zeros(1, 1, 4, 1025, dtype=torch.uint8)}, "4 to 1024 pixels"),
        ("many channels", {"images": torch.zeros(1, 17, 4, 4, dtype=torch.uint8)}, "1 to\n? ?16 channels"),
        ("short labels", {"labels": labels[:-1]}, "one for each image"),
        ("labels of int32", {"labels": labels.int()}, "must be int64"),
        ("labels in a matrix", {"labels": labels[:, None].contiguous()}, "one for each image"),
        ("bases of floats", {"bases": images.float()}, "type and shape"),
        ("fewer bases", {"bases": images[:-1]}, "type and shape"),
        ("too many images", {"images": torch.zeros(10_001, 1, 4, 4, dtype=torch.uint8)}, "10000 images"),
    ):
        yield name, written(tensors={**TENSORS, **changes}), reason


def files() -> Iterator[tuple[str, bytes, str]]:
    sound = written()
    for cut in (0, 5, 9, 100, len(sound) - 1):
        yield f"cut at {cut}", sound[:cut], "cannot use"
    yield "with a tail", sound + b"x", "cannot use"
    damaged = bytearray(sound)
    damaged[-1] ^= 1
    yield "with another last byte", bytes(damaged), "damaged"
    yield "a pickle", b"\x80\x04N." * 10, "cannot use"
    yield "zeros", bytes(1000), "cannot use"
    yield "a table of 16 EiB", b"\xff" * 8 + sound[8:], "declares a table"
    yield (
        "a ticket's key",
        safetensors.torch.save(TENSORS, metadata={"lottery_pipeline.ticket": "{}"}),
        "not a",
    )
    yield "two keys", with_metadata({DISCLOSURE_KEY: "{}", "x": ""}), "not a"
    yield "no metadata", safetensors.torch.save(TENSORS), "not a"
    yield "a list as header", with_metadata({DISCLOSURE_KEY: "[]"}), "not a JSON object"
    yield (
        "a header in other layout",
        with_metadata({DISCLOSURE_KEY: '{"sha256": "", "header": {}}'}),
        "canonical",
    )
    record = canonical({"header": HEADER, "sha256": "0"})
    yield "a wrong sum", with_metadata({DISCLOSURE_KEY: record}), "damaged"
    deep = '{"header":{"a":' + "[" * 100_000 + "]" * 100_000 + '},"sha256":""}'
    yield "a deep header", with_metadata({DISCLOSURE_KEY: deep}), "not valid JSON"


HOSTILE = [*headers(), *tensors(), *files()]


def test_there_are_many_hostile_files():
    names = [name for name, _, _ in HOSTILE]
    assert len(set(names)) == len(names) >= 60


@pytest.mark.parametrize(("content", "reason"), [row[1:] for row in HOSTILE], ids=[row[0] for row in HOSTILE])
def test_a_hostile_file_gets_one_sentence(content, reason, tmp_path):
    with pytest.raises(OwnershipError, match=reason) as caught:
        read(content, tmp_path)
    said = str(caught.value)
    assert said.startswith(f"the disclosure {tmp_path / 'disclosure.safetensors'} is not valid: ")
    assert "\n" not in said
    assert len(said) < 1000
    assert SECRETS.mask_key.hex() not in said


def test_a_file_that_is_larger_than_any_set_is_refused_before_it_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_MOST_BYTES", sum(tensor.nbytes for tensor in TENSORS.values()))
    assert read(written(), tmp_path).number == 0
    monkeypatch.setattr(module.TriggerSet, "from_tensors", None)
    with pytest.raises(OwnershipError, match=r"more than the .* bytes of the largest trigger set"):
        read(written(tensors={**TENSORS, "more": torch.zeros(1)}), tmp_path)


def test_a_set_of_drawn_images_in_place_of_stamped_ones_is_refused(tmp_path):
    rest = {name: tensor for name, tensor in TENSORS.items() if name != "bases"}
    found = read(written(tensors=rest), tmp_path)
    with pytest.raises(OwnershipError, match="not one of those that the owner committed to"):
        check_disclosure(found, BUNDLE, CLASSES)


def test_a_missing_file_and_a_folder_get_one_sentence(tmp_path):
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(OwnershipError, match=r"the disclosure .* is not valid: cannot use"):
            read_disclosure(path)


def test_a_disclosure_hides_its_secrets():
    assert SECRETS.mask_key.hex() not in repr(disclose())
    assert "TriggerSet" not in repr(disclose())
