"""Credentials as somebody might forge or break them, each with its name and the reason of its refusal."""

import base64
import json
from collections.abc import Callable, Iterator

from lottery_pipeline.ownership.canonical_json import encode
from lottery_pipeline.ownership.envelope import MAX_PAYLOAD
from tests.ownership.forger import (
    OWNER,
    PARTS,
    RIVAL,
    SOUND,
    Forgery,
    changed,
    dump,
    payload_in,
    rechain,
    resigned,
    sign,
    sound_record,
    without,
)
from tests.ownership.lies import points, predicates, statements
from tests.ownership.owners import TIMES, chain, make_published, sha
from tests.ownership.test_envelope import ORDER


def forge_bundles() -> list[Forgery]:
    """Return every forgery; each differs from a sound credential in one respect."""
    families = (texts, top_levels, envelopes, signatures, swaps, statements, predicates, points, logs, stamps)
    return [forgery for family in families for forgery in family()]


def texts() -> Iterator[Forgery]:
    """Damage of the file as a text."""
    sound = SOUND
    for cut in (0, 1, 10, len(sound) // 4, len(sound) // 2, len(sound) * 3 // 4, len(sound) - 2):
        yield f"cut at {cut}", sound[:cut], "not valid JSON"
    yield "twice", sound * 2, "not valid JSON"
    yield "byte order mark", b"\xef\xbb\xbf" + sound, "not valid JSON"
    yield "UTF-16", sound.decode().encode("utf-16"), "not valid JSON"
    yield "not UTF-8", sound.replace(b"lottery", b"lotter\xff"), "not valid JSON"
    yield "zero bytes", bytes(2000), "not valid JSON"
    yield "a pickle", b"\x80\x04N.", "not valid JSON"
    yield "blanks to 1 MiB and one", sound + b" " * (2**20 + 1 - len(sound)), "more than 1048576 bytes"
    yield "deep lists", b"[" * 500_000, "deeper than 16"
    yield "deep objects", b'{"a":' * 100_000, "deeper than 16"
    yield "deep log", sound.replace(b'"log":', b'"log":' + b"[" * 20 + b"]" * 20 + b',"x":'), "deeper than 16"
    yield "key twice", sound.replace(b'"version"', b'"log":[],"version"'), "twice"
    yield "key of an envelope twice", sound.replace(b'"keyid"', b'"sig":"","keyid"', 1), "twice"
    yield "key twice, escaped", sound.replace(b'"version"', b'"\\u006cog":[],"version"'), "twice"
    for name, value, reason in (
        ("NaN", b"NaN", "NaN"),
        ("infinity", b"Infinity", "infinity"),
        ("float", b"1.0", "a fraction"),
        ("exponent", b"1e0", "a fraction or an exponent"),
        ("null", b"null", "other than"),
        ("true", b"true", "other than"),
        ("huge integer", b"1" * 200_000, "53 bits"),
        ("large integer", b"9007199254740993", "53 bits"),
        ("surrogate", b'"\\udfff"', "surrogate"),
    ):
        yield f"version is {name}", sound.replace(b'"version":1', b'"version":' + value), reason
    for value in (b"{}", b"[]", b"1", b'"credential"'):
        yield f"only {value!r}", value, "a credential must hold"


def top_levels() -> Iterator[Forgery]:
    for field in ("format", "version", "commitment", "log", "stamps"):
        yield f"without {field}", dump(without((field,))), "a credential must hold"
    yield "format of a key", dump(changed(("format",), "lottery_pipeline.owner_key")), "must be of format"
    yield "version 2", dump(changed(("version",), 2)), "version 1"
    yield "version in words", dump(changed(("version",), "1")), "must hold"
    yield "unknown field", dump(changed(("keys",), [])), "unknown field"
    yield "log is an object", dump(changed(("log",), {})), "must hold"
    yield "stamps are a list", dump(changed(("stamps",), [])), "must hold"


def envelopes() -> Iterator[Forgery]:
    for part in PARTS:
        payload = sound_record()[part]["payload"]
        for field in ("payload", "payloadType", "signatures"):
            yield f"{part} without {field}", dump(without((part, field))), "an envelope must hold"
        for field in ("keyid", "sig"):
            yield (
                f"{part} without {field}",
                dump(without((part, "signatures", 0, field))),
                "an envelope must hold",
            )
        twice = sound_record()[part]["signatures"] * 2
        longest = base64.b64encode(bytes(MAX_PAYLOAD + 1)).decode()
        for name, path, value, reason in (
            ("is a string", (), "x", "must hold"),
            ("is a list", (), [], "must hold"),
            ("has two signatures", ("signatures",), twice, "must hold"),
            ("has no signature", ("signatures",), [], "must hold"),
            ("has an unknown field", ("unsigned",), "x", "must hold"),
            ("has an unknown field by the signature", ("signatures", 0, "cert"), "x", "must hold"),
            ("has a list as payload", ("payload",), [1], "must hold"),
            ("has another payload type", ("payloadType",), "application/json", "payload type"),
            ("has no payload", ("payload",), "", "not valid JSON|not the owner's"),
            ("has a long payload", ("payload",), longest, "524288 bytes"),
            ("has base64 with a line", ("payload",), payload[:76] + "\n" + payload[76:], "base64"),
            ("has base64 for URLs", ("payload",), "-_" + payload[2:], "base64"),
            ("has base64 without padding", ("signatures", 0, "sig"), twice[0]["sig"].rstrip("="), "base64"),
            (
                "has base64 with loose bits",
                ("signatures", 0, "sig"),
                loosen(twice[0]["sig"]),
                "canonical base64",
            ),
            ("has a short signature", ("signatures", 0, "sig"), "AAAA", "64 bytes, not 3"),
            ("has a long signature", ("signatures", 0, "sig"), "AAAA" * 30, "64 bytes"),
            ("names another key", ("signatures", 0, "keyid"), sha("key"), "another key"),
            ("names a key in capitals", ("signatures", 0, "keyid"), twice[0]["keyid"].upper(), "another key"),
        ):
            yield f"{part} {name}", dump(changed((part, *path), value)), reason


def loosen(text: str) -> str:
    """Set the bits of the last character that base64 does not use."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    body = text.rstrip("=")
    return body[:-1] + alphabet[alphabet.index(body[-1]) | 1] + "=" * (len(text) - len(body))


def signatures() -> Iterator[Forgery]:
    for part in PARTS:
        signature = base64.b64decode(sound_record()[part]["signatures"][0]["sig"])
        for bit in (0, 7, 100, 255, 256, 300, 504, 511):
            damaged = bytearray(signature)
            damaged[bit // 8] ^= 1 << bit % 8
            text = base64.b64encode(damaged).decode()
            record = changed((part, "signatures", 0, "sig"), text)
            yield f"{part}: bit {bit} of the signature", dump(record), "not the owner's"
        again = int.from_bytes(signature[32:], "little") + ORDER
        text = base64.b64encode(signature[:32] + again.to_bytes(32, "little")).decode()
        record = changed((part, "signatures", 0, "sig"), text)
        yield f"{part}: the signature in other words", dump(record), "not the owner's"
        payload = payload_in(sound_record(), part)
        for old, new in ((b"1", b"2"), (b'":"', b'": "'), (b"v1", b"v2"), (b"}", b" }")):
            text = base64.b64encode(payload.replace(old, new, 1)).decode()
            yield f"{part}: {old!r} is now {new!r}", dump(changed((part, "payload"), text)), "."


def swaps() -> Iterator[Forgery]:
    """Sound statements in places where they do not belong."""
    own, rival = sound_record(), json.loads(make_published(RIVAL).to_bytes())
    later = json.loads(make_published(OWNER, nonce=sha("later")).to_bytes())
    other_triggers = json.loads(make_published(OWNER, trigger_root=sha("others")).to_bytes())
    yield "the rival's commitment", dump({**own, "commitment": rival["commitment"]}), "another key"
    yield "the rival's release", dump({**own, "release": rival["release"]}), "another key"
    yield (
        "release of a later commitment",
        dump(rechain({**own, "release": later["release"]})),
        "another commitment",
    )
    yield (
        "commitment of a later release",
        dump(rechain({**own, "commitment": later["commitment"]})),
        "another commit",
    )
    yield (
        "release of other triggers",
        dump(rechain({**own, "release": other_triggers["release"]})),
        "another commit",
    )
    yield (
        "swapped",
        dump({**own, "commitment": own["release"], "release": own["commitment"]}),
        "predicate type",
    )
    yield "commitment twice", dump({**own, "release": own["commitment"]}), "predicate type"
    yield "release twice", dump({**own, "commitment": own["release"]}), "predicate type"
    for part in PARTS:
        signed = sign(payload_in(own, part), RIVAL)
        yield f"{part} signed by the rival", dump(rechain({**own, part: signed})), "another key"
        signed["signatures"][0]["keyid"] = own[part]["signatures"][0]["keyid"]
        yield (
            f"{part} signed by the rival in the owner's name",
            dump(rechain({**own, part: signed})),
            "not the owner's",
        )
    commitment = json.loads(payload_in(own, "commitment"))
    commitment["predicate"]["public_key"] = RIVAL.public_key.hex()
    yield (
        "the rival's key under the owner's signature",
        resigned("commitment", encode(commitment)),
        "another key",
    )
    yield "log of a later credential", dump({**own, "log": later["log"]}), "does not hold the commitment"


def logs() -> Iterator[Forgery]:
    sound = sound_record()
    digests = [entry["digest"] for entry in sound["log"]]
    for place in range(4):
        for field, value in (("time", "2026-04-30T00:00:00Z"), ("digest", sha("x")), ("previous", sha("x"))):
            yield (
                f"{field} of entry {place}",
                dump(changed(("log", place, field), value)),
                "does not continue",
            )
        yield f"hash of entry {place}", dump(changed(("log", place, "entry"), sha("x"))), "does not continue"
        yield f"place of entry {place}", dump(changed(("log", place, "index"), 7)), "does not continue"
        yield (
            f"without entry {place}",
            dump(without(("log", place))),
            "does not continue|does not hold the release",
        )
    for field in ("index", "time", "digest", "previous", "entry"):
        yield f"an entry without {field}", dump(without(("log", 1, field))), f"log entry is wrong: {field}"
    for field, value in (
        ("index", -1),
        ("index", 10_000),
        ("time", "2026-02-30T00:00:00Z"),
        ("time", 5),
        ("more", 1),
    ):
        yield f"an entry with {field} {value}", dump(changed(("log", 1, field), value)), "log entry is wrong"
    yield "an entry in a list", dump(changed(("log", 1), [1])), "log entry is wrong"
    yield "too many entries", dump(changed(("log",), [1] * 10_001)), "more than 10000"

    def rewritten(name: str, rows: Callable[[], list[tuple[str, str]]], reason: str) -> Forgery:
        return name, dump({**sound, "log": [entry.model_dump() for entry in chain(rows())]}), reason

    early, rest = "2020-01-01T00:00:00Z", list(zip(TIMES, digests, strict=True))
    yield rewritten("a commitment of 2020", lambda: [rest[0], (early, digests[1]), *rest[2:]], "earlier")
    yield rewritten("a release of 2020", lambda: [*rest[:3], (early, digests[3])], "earlier")
    yield rewritten("no commitment", lambda: [rest[0], *rest[2:]], "hold the commitment")
    yield rewritten("no release", lambda: rest[:3], "hold the release")
    reverse = [digests[0], digests[3], digests[2], digests[1]]
    yield rewritten("release first", lambda: list(zip(TIMES, reverse, strict=True)), "before its commitment")
    yield rewritten("a digest twice", lambda: [*rest, (TIMES[3], digests[0])], "twice")
    alone = chain([(early, digests[1])])[0].model_dump()
    yield "one entry of another log", dump(changed(("log", 1), alone)), "does not continue"


def stamps() -> Iterator[Forgery]:
    for part in PARTS:
        for value, reason in (
            (5, "not a string"),
            (["AA=="], "not a string"),
            ("A", "base64"),
            ("AA=A", "base64"),
        ):
            yield f"stamp of the {part} is {value}", dump(changed(("stamps", part), value)), reason
        long = base64.b64encode(bytes(64 * 2**10 + 1)).decode()
        yield f"stamp of the {part} is long", dump(changed(("stamps", part), long)), "65536 bytes"
    yield "stamp of something else", dump(changed(("stamps", "log"), "AA==")), "unknown field"
    unpublished = without(("release",)) | {"log": [], "stamps": {"release": "AA=="}}
    yield "stamp of a release that is not there", dump(unpublished), "no release"
