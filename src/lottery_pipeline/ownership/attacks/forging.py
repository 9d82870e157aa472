"""A20: forged claims on a ticket of somebody else. None of them may end in the verdict ``owned``."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from lottery_pipeline.ownership.attacks.forged_keys import KeyTrials
from lottery_pipeline.ownership.attacks.forger import Forger, Outcome, attempt, hold
from lottery_pipeline.ownership.canonical_json import decode, encode
from lottery_pipeline.ownership.carriers import fingerprint_live
from lottery_pipeline.ownership.claims import Claim, Opened
from lottery_pipeline.ownership.credential import Bundle, sign_commitment
from lottery_pipeline.ownership.envelope import MAX_PAYLOAD, parse_envelope, seal
from lottery_pipeline.ownership.errors import OwnershipError
from lottery_pipeline.ownership.payload import draw_targets
from lottery_pipeline.ownership.qr_code import make_symbol
from lottery_pipeline.ownership.qr_signature import embed_symbol, extract_symbol
from lottery_pipeline.ownership.reading import count_matches
from lottery_pipeline.ownership.statements import commitment_bytes, payload_of
from lottery_pipeline.ownership.verify import LEAST_UNSTAMPED, OWNED
from lottery_pipeline.reproducibility.seeds import make_generator

Row = dict[str, Any]

QR_TEXT = "signature"  # what the published scheme (arXiv 2111.00162) writes into the mask
MOST_GRINDING = 12  # bits
DAMAGED_BYTES = 64


def try_forgeries(
    claim: Claim, opened: Opened, state: Mapping[str, Tensor], *, seed: int, keys: int = 10_000
) -> list[Row]:
    """Claim a network in every known way without having marked it.

    Args:
        claim: of the owner.
        opened: its secrets, as a disclosure reveals them.
        state: of the network that is fought over; its tensors have the shapes of the owner's ticket.
        seed: of everything that is drawn.
        keys: number of keys that are tried.

    Returns:
        A row for each way: ``forgery``; ``tries``, 0 if the network makes it impossible; ``accepted``, how
        many got the verdict ``owned`` or were taken for valid where they must be refused; ``most_bits``,
        evidence of the best; ``says``.
    """
    forger = Forger(claim, opened, state, seed, keys)
    rows = []
    for name, forge in FORGERIES.items():
        try:
            row = forge(forger)
        except OwnershipError as error:
            row = _gather([], f"It is impossible here: {error}.")
        rows.append({"forgery": name, **row})
    return rows


def _try_random_keys(forger: Forger) -> Row:
    """Try keys; a closed tail gives the evidence of each, before anything is charged."""
    best = forger.best
    verdict = OWNED if best.bits >= LEAST_UNSTAMPED else "not shown"
    says = (
        f"The best of {forger.keys:,} keys shows {best.matches} of {best.counted} groups: {best.bits:.1f} "
        f"bits before charges; chance gives the best of so many {math.log2(forger.keys):.1f}."
    )
    return _gather([Outcome(verdict, best.bits, says)], tries=forger.keys)


def _publish_best_key(forger: Forger) -> Row:
    claim = forger.publish(forger.commit(forger.best.key))
    return _gather([forger.present(claim, forger.best.key)], tries=forger.keys)


def _grind_whitenings(forger: Forger) -> Row:
    """Commit to 2^g whitenings of the best key, and take the best of them."""
    bits = min(MOST_GRINDING, int(math.log2(forger.keys)))
    key, commitment = forger.best.key, forger.commit(forger.best.key, grinding_bits=bits)
    payload = payload_of(commitment_bytes(commitment))
    scores = KeyTrials(forger.state, forger.claim.ticket.masks, forger.groups).score(key)
    matches = [
        count_matches(scores, draw_targets(key, payload, len(scores), trial))[0] for trial in range(2**bits)
    ]
    trial = matches.index(max(matches))
    return _gather([forger.present(forger.publish(commitment, trial=trial), key)], tries=2**bits)


def _list_positions(forger: Forger) -> Row:
    """Name the carriers instead of a key: chosen freely, every group shows what it shall show."""
    statement = decode(commitment_bytes(forger.commit(forger.mask_key)), most=MAX_PAYLOAD)
    predicate = statement["predicate"]
    outcomes = []
    for field in ("cells", "carriers", "positions"):
        code = {**predicate["code"], field: [[0, 1, 2, 3, 4, 5, 6, 7]]}
        forged = encode({**statement, "predicate": {**predicate, "code": code}})
        outcomes.append(attempt(partial(Bundle, parse_envelope(seal(forged, forger.signing_key)))))
    return _gather(outcomes)


def _copy_qr_code(forger: Forger) -> Row:
    """Write the published signature into the mask, and claim the result."""
    ticket, symbol = forger.claim.ticket, make_symbol(QR_TEXT)
    signed = embed_symbol(ticket.masks, symbol, seed=forger.seed)
    generator = make_generator(forger.seed, "forger", "qr")
    state = dict(forger.state)
    for name, mask in signed.masks.items():
        drawn = 0.1 * torch.randn(mask.shape, generator=generator)
        state[name] = torch.where(state[name] == 0, drawn, state[name]) * mask
    copy = hold(ticket, state, signed.masks)
    commitment = forger.commit(forger.mask_key, live=fingerprint_live(copy.masks))
    found = forger.present(forger.publish(commitment, ticket=copy), forger.mask_key, state)
    text = extract_symbol(state, signed.position, paste_back=True, expected=symbol).text
    return _gather([found], f"The code says {text!r}, as anybody can write. {found.says}")


def _damage_commitment(forger: Forger) -> Row:
    """Change a bit of the owner's commitment."""
    bundle = forger.claim.bundle
    envelope = bundle.commitment_envelope
    generator = make_generator(forger.seed, "forger", "damage")
    outcomes = []
    for place in torch.randperm(len(envelope.payload), generator=generator)[:DAMAGED_BYTES].tolist():
        damaged = bytearray(envelope.payload)
        damaged[place] ^= 1
        changed = replace(envelope, payload=bytes(damaged))
        outcomes.append(attempt(partial(replace, bundle, commitment_envelope=changed)))
    return _gather(outcomes)


def _sign_again(forger: Forger) -> Row:
    """Sign the owner's commitment as it is; then with another public key, the key of the mark being known."""
    own = parse_envelope(seal(forger.claim.bundle.commitment_envelope.payload, forger.signing_key))
    known = forger.opened.mask_key
    found = forger.present(forger.publish(forger.commit(known)), known)
    return _gather([attempt(partial(Bundle, own)), found], found.says)


def _swap_keys(forger: Forger) -> Row:
    """Open the owner's claim with other keys than that of its mark."""
    triggers = forger.opened.triggers
    keys = [forger.mask_key, *([] if triggers is None else [triggers.key])]
    return _gather([forger.present(forger.claim, key) for key in keys])


def _change_times(forger: Forger) -> Row:
    """Make an entry of the owner's log older; then write a log of one's own, of twenty years ago."""
    bundle = forger.claim.bundle
    outcomes = []
    for place, entry in enumerate(bundle.log):
        older = entry.model_copy(update={"time": f"1999{entry.time[4:]}"})
        log = (*bundle.log[:place], older, *bundle.log[place + 1 :])
        outcomes.append(attempt(partial(replace, bundle, log=log)))
    claim = forger.publish(forger.commit(forger.mask_key), days_before=(7300, 7299))
    found = forger.present(claim, forger.mask_key)
    return _gather([*outcomes, found], f"A log written anew holds, but helps nobody. {found.says}")


def _choose_reference(forger: Forger, *, days_before: tuple[int, int]) -> Row:
    """Publish the network's channels in the order that suits a key, and say that it was there before."""
    fitted = forger.fitted
    claim = forger.publish(fitted.commitment, ticket=fitted.ticket, days_before=days_before)
    found = forger.present(claim, forger.mask_key)
    return _gather([found], f"Aligned to it, the network would show {fitted.bits:.0f} bits. {found.says}")


def _replay_release(forger: Forger) -> Row:
    """Put the owner's release behind a commitment of one's own."""
    own = sign_commitment(forger.commit(forger.mask_key), forger.signing_key)
    return _gather([attempt(partial(Bundle, own, forger.claim.bundle.release_envelope))])


def _publish_again(forger: Forger) -> Row:
    """Publish the owner's very file as one's own."""
    return _gather([forger.present(forger.publish(forger.commit(forger.mask_key)), forger.mask_key)])


FORGERIES: dict[str, Callable[[Forger], Row]] = {
    "random keys": _try_random_keys,
    "best of all keys": _publish_best_key,
    "ground whitenings": _grind_whitenings,
    "free positions": _list_positions,
    "copied QR code": _copy_qr_code,
    "changed commitment": _damage_commitment,
    "signed by another key": _sign_again,
    "swapped key of the mark": _swap_keys,
    "changed times": _change_times,
    "reference chosen afterwards": partial(_choose_reference, days_before=(2, -1)),
    "reference dated back": partial(_choose_reference, days_before=(2, 1)),
    "commitment made afterwards": partial(_choose_reference, days_before=(-1, -2)),
    "replayed release": _replay_release,
    "another owner's release": _publish_again,
}


def _gather(outcomes: Sequence[Outcome], says: str | None = None, *, tries: int | None = None) -> Row:
    """Return the row of some outcomes; its sentence is that of the first which was accepted, or the last."""
    accepted = [outcome for outcome in outcomes if outcome.accepted]
    return {
        "tries": len(outcomes) if tries is None else tries,
        "accepted": len(accepted),
        "most_bits": max((outcome.bits for outcome in outcomes), default=0.0),
        "says": says or (accepted or list(outcomes))[-1].says,
    }
