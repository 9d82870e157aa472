"""Statements that the owner has signed and logged, but that say what they must not."""

import base64
import hashlib
import json
from collections.abc import Iterator

from lottery_pipeline.ownership.canonical_json import encode
from tests.ownership.forger import (
    OWNER,
    PARTS,
    Forgery,
    changed,
    dump,
    payload_in,
    resigned,
    sign,
    sound_record,
    without,
)
from tests.ownership.owners import sha
from tests.ownership.test_curve import SMALL_ORDER


def statements() -> Iterator[Forgery]:
    """Statements of another form."""
    for part in PARTS:
        payload = payload_in(sound_record(), part)
        record = json.loads(payload)
        for field in record["predicate"]:
            yield (
                f"{part} without {field}",
                resigned(part, encode(without(("predicate", field), record))),
                "wrong|lacks",
            )
        for field in record:
            yield (
                f"{part} without {field}",
                resigned(part, encode(without((field,), record))),
                "statement must hold",
            )
        for name, path, value, reason in (
            ("with an unknown field", ("more",), "x", "unknown"),
            ("with an unknown field of the predicate", ("predicate", "more"), "x", "more is unknown"),
            ("with a list of positions", ("predicate", "positions"), [[0, 1]], "positions is unknown"),
            ("with an unknown field of the subject", ("subject", 0, "uri"), "x", "uri is unknown"),
            ("with another hash of the subject", ("subject", 0, "digest", "sha1"), "0", "sha1 is unknown"),
            ("about something else", ("subject", 0, "name"), "model.bin", "must be named"),
            ("about two things", ("subject",), record["subject"] * 2, "one subject"),
            ("about nothing", ("subject",), [], "one subject"),
            (
                "with a subject in capitals",
                ("subject", 0, "digest", "sha256"),
                "A" * 64,
                "64 hexadecimal digits",
            ),
            ("of in-toto 0.1", ("_type",), "https://in-toto.io/Statement/v0.1", "type of a statement"),
            ("of another type", ("predicateType",), "https://slsa.dev/provenance/v1", "predicate type"),
            ("with a predicate in a list", ("predicate",), [record["predicate"]], "wrong"),
        ):
            yield f"{part} {name}", resigned(part, encode(changed(path, value, record))), reason
        for name, text, reason in (
            ("with blanks", json.dumps(record, sort_keys=True, ensure_ascii=False).encode(), "canonical"),
            (
                "in another order",
                json.dumps(dict(reversed(record.items())), separators=(",", ":")).encode(),
                "canon",
            ),
            ("with a line at the end", payload + b"\n", "canonical"),
            ("with a needless escape", payload.replace(b"_type", b"\\u005ftype"), "canonical"),
            ("with a key twice", payload.replace(b'{"_type"', b'{"_type":"x","_type"'), "twice"),
            ("with a float", payload.replace(b'"predicate":{', b'"predicate":{"a":1.5,'), "fraction"),
            ("with null", payload.replace(b'"predicate":{', b'"predicate":{"a":null,'), "other than"),
            ("with true", payload.replace(b'"predicate":{', b'"predicate":{"a":true,'), "other than"),
            ("with NaN", payload.replace(b'"predicate":{', b'"predicate":{"a":NaN,'), "NaN"),
            (
                "with a huge integer",
                payload.replace(b'"predicate":{', b'"predicate":{"a":' + b"7" * 5000 + b","),
                "53",
            ),
            ("with a surrogate", payload.replace(b'"_type":"', b'"_type":"\\ud83d'), "surrogate"),
            (
                "too deep",
                payload.replace(b'"predicate":{', b'"predicate":{"a":' + b"[" * 16 + b"]" * 16 + b","),
                "deep",
            ),
            ("that is not JSON", b"payload", "not valid JSON"),
            ("that is a list", b"[]", "statement must hold"),
        ):
            yield f"{part} {name}", resigned(part, text), reason


def predicates() -> Iterator[Forgery]:
    """Signed values outside their bounds."""
    commitment = json.loads(payload_in(sound_record(), "commitment"))
    release = json.loads(payload_in(sound_record(), "release"))
    layers = [[f"layer{index}", 1] for index in range(4097)]
    for path, values in (
        (("owner",), ["", "x" * 201, "a\tb", " a", "a\u202eb", 5, ["a"]]),
        (("nonce",), ["0" * 63, "0" * 66, "G" * 64, 0]),
        (("model",), ["", "m" * 257, "m\n"]),
        (("mask_key",), ["0" * 65, "", [0] * 32]),
        (("trigger_keys",), [[], ["0" * 64] * 3, ["0" * 64] * 5, "0" * 64, [["0" * 64]] * 4]),
        (("unmarked_masks",), ["1" * 64]),
        (("alpha_stamped",), [0, 19, 65, 10**6, "40", [40]]),
        (("alpha_unstamped",), [39, 129, -64]),
        (("code",), ["aligned", []]),
        (
            ("code", "groups"),
            [[], [["a", 0]], [["a", 1], ["a", 1]], [["a"]], [["a", 1, 1]], [["a", [1]]], layers],
        ),
        (("code", "groups"), [[["a", 2**20 + 1]], [["\u00e4", 1]], [["a" * 257, 1]], [[1, "a"]], {"a": 1}]),
        (("code", "grinding_bits"), [-1, 17, "4"]),
        (("code", "reference"), ["chosen", "", 1]),
        (("code", "cells"), [[[0, 0]]]),
    ):
        for value in values:
            forged = encode(changed(("predicate", *path), value, commitment))
            name = f"commitment: {'.'.join(path)} = {str(value)[:30]}"
            yield name, resigned("commitment", forged), "wrong|subject of the commitment"
    for field, value, reason in (
        ("accuracy_ppm", -1, "wrong"),
        ("accuracy_ppm", 1_000_001, "wrong"),
        ("accuracy_ppm", "952646", "wrong"),
        ("grinding_trial", 65_536, "wrong"),
        ("grinding_trial", 16, "does not allow"),  # the commitment grants four bits
        ("trigger_root", sha("others"), "other trigger sets"),
        ("commitment", sha("others"), "another commitment"),
        ("marked_masks", "0", "wrong"),
        ("tensors", "x" * 64, "wrong"),
        ("ticket", 0, "wrong"),
    ):
        forged = encode(changed(("predicate", field), value, release))
        yield f"release: {field} = {value}", resigned("release", forged), reason


def points() -> Iterator[Forgery]:
    """Keys under which anybody could sign, with the signature that would verify under the neutral point."""
    commitment = json.loads(payload_in(sound_record(), "commitment"))
    signature = base64.b64encode(bytes.fromhex(SMALL_ORDER[0]) + bytes(32)).decode()
    not_canonical = (2**255 - 18).to_bytes(32, "little").hex()
    for point in (*SMALL_ORDER, not_canonical, "ff" * 32, "02" + "00" * 31):
        forged = sign(encode(changed(("predicate", "public_key"), point, commitment)), OWNER)
        forged["signatures"] = [{"keyid": hashlib.sha256(bytes.fromhex(point)).hexdigest(), "sig": signature}]
        yield (
            f"the public key {point[:8]}...{point[-2:]}",
            dump({**sound_record(), "commitment": forged}),
            "public_key",
        )
