"""What a forger works with: a sound credential taken apart, and signatures and logs without any check."""

import base64
import hashlib
import json
from copy import deepcopy
from typing import Any

from lottery_pipeline.ownership.canonical_json import encode
from lottery_pipeline.ownership.envelope import PAYLOAD_TYPE, pae, parse_envelope
from lottery_pipeline.ownership.keys import OwnerKey
from tests.ownership.owners import TIMES, chain, make_key, make_published, sha

Forgery = tuple[str, bytes, str]  # name, content, pattern of the reason of refusal
OWNER, RIVAL = make_key(1), make_key(2)
PARTS = ("commitment", "release")
SOUND = make_published(OWNER).to_bytes()


def sound_record() -> dict[str, Any]:
    return json.loads(SOUND)


def sign(payload: bytes, key: OwnerKey) -> dict[str, Any]:
    """Seal whatever it is, without the checks of the code under test."""
    signature = key.private_key.sign(pae(PAYLOAD_TYPE, payload))
    keyid = hashlib.sha256(key.public_key).hexdigest()
    signatures = [{"keyid": keyid, "sig": base64.b64encode(signature).decode()}]
    return {
        "payload": base64.b64encode(payload).decode(),
        "payloadType": PAYLOAD_TYPE,
        "signatures": signatures,
    }


def payload_in(record: dict[str, Any], part: str) -> bytes:
    return base64.b64decode(record[part]["payload"])


def rechain(record: dict[str, Any]) -> dict[str, Any]:
    """Write the log anew for the statements as they are."""
    digests = [parse_envelope(record[part]).digest.hex() for part in PARTS]
    rows = zip(TIMES, (sha("first"), digests[0], sha("third"), digests[1]), strict=True)
    record["log"] = [entry.model_dump() for entry in chain(list(rows))]
    return record


def resigned(part: str, payload: bytes) -> bytes:
    """Return a credential in which one statement is replaced, and signed and logged like the true one.

    A new commitment gets a release that names it, so that only the replaced statement can be at fault.
    """
    record = sound_record()
    record[part] = sign(payload, OWNER)
    if part == "commitment":
        release = json.loads(payload_in(record, "release"))
        release["predicate"]["commitment"] = hashlib.sha256(payload).hexdigest()
        record["release"] = sign(encode(release), OWNER)
    return dump(rechain(record))


def dump(record: object) -> bytes:
    return json.dumps(record).encode()


def changed(path: tuple[Any, ...], value: object, record: dict[str, Any] | None = None) -> dict[str, Any]:
    record = sound_record() if record is None else deepcopy(record)
    place: Any = record
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return record


def without(path: tuple[Any, ...], record: dict[str, Any] | None = None) -> dict[str, Any]:
    record = sound_record() if record is None else deepcopy(record)
    place: Any = record
    for step in path[:-1]:
        place = place[step]
    del place[path[-1]]
    return record
