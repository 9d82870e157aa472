"""The report's section on ownership: the verdict, the facts, the checks, and the attacks on the mark."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from lottery_pipeline.evaluation.lineage import name_run
from lottery_pipeline.options.ownership import NOT_SIGNED
from lottery_pipeline.reporting import formatting as fmt
from lottery_pipeline.reporting.palette import label_run, look_of_attack

Row = Mapping[str, Any]
Fact = tuple[str, str, str]  # name, text, and what stands small beside it

TONES = {
    "owned": "good",
    "authentic release": "good",
    "not shown": "even",
    NOT_SIGNED: "even",
    "refused": "bad",
}
STAMPS = {"log": "the owner's own log", "rfc3161": "a time-stamping authority"}
LOG_NOTE = (
    "The owner's own log convinces nobody else, unless its last hash was published where others can date it."
)
MARKS = {True: ("✓", "good", "passed"), False: ("✗", "bad", "failed"), None: ("–", "note", "noted")}
PROMISES = {"broken": "bad", "kept": "good", "not tested": "note", "none": "note"}
# arXiv 2111.00162, magnitude pruning of ResNet-20 on CIFAR-10: share of the remaining weights, test accuracy,
# what the QR code still says. Theirs, not measured here.
PUBLISHED = (
    (0.0, 0.9137, "decoded"),
    (0.05, 0.9125, "decoded"),
    (0.1, 0.9072, "decoded"),
    (0.2, 0.8803, "lost"),
    (0.3, 0.8008, "lost"),
    (0.5, 0.3662, "lost"),
)


def describe_ownership(results: Mapping[str, Mapping[str, Any]]) -> dict[str, Any] | None:
    """Collect what the report says about ownership.

    Args:
        results: records by block; those of the signature, the verification and the attacks may be absent.

    Returns:
        For the template: ``verdict`` (sentence and tone; None without signature and verification), ``facts``,
        ``log_note`` (empty unless the owner's log dates something), ``checks`` and ``attacks`` (None without
        any). None if there is nothing to say.
    """
    signature = results.get("signature_embedding", {}).get("metrics")
    verification = results.get("ownership_verification", {})
    found = verification.get("metrics")
    rows = results.get("ownership_attacks", {}).get("rows")
    if not (signature or found or rows):
        return None
    said = None if found is None or found["verdict"] == NOT_SIGNED else found
    signed = None if signature is None or signature["verdict"] == NOT_SIGNED else signature
    facts = [
        *_list_claim(said, signed),
        *_list_triggers(said, signed),
        *_list_signature(signed, results),
    ]
    stamps = [(found or {}).get(name) for name in ("committed", "released")]
    return {
        "verdict": _state_verdict(found, signature),
        "facts": facts,
        "log_note": LOG_NOTE if any(stamp and stamp["kind"] == "log" for stamp in stamps) else "",
        "checks": [_describe_check(check) for check in verification.get("checks", ())],
        "attacks": describe_attacks(rows) if rows else None,
    }


def describe_attacks(rows: Sequence[Row]) -> dict[str, Any]:
    """Summarise the tries of every attack in one row: those that broke a promise first.

    Args:
        rows: one for each try; those of one attack from weak to strong.

    Returns:
        ``rows`` by attack, ``broken`` (a sentence for each broken promise), ``kept`` (the sentence if none
        was broken), ``compared`` (whether a QR code was attacked, too), ``published`` (what its authors
        measured).
    """
    names = dict.fromkeys(row["attack"] for row in rows)
    tries = [[row for row in rows if row["attack"] == name] for name in names]
    attacks = [_describe_attack(own) for own in tries]
    promises = [attack["promise"] for attack in attacks]
    tested = sum(row["held"] is not None for row in rows)
    kept = (
        ""
        if "broken" in promises
        else f"Every promise was kept. Tries that one covers: {tested} of {len(rows)}."
    )
    return {
        "rows": sorted(attacks, key=lambda attack: attack["promise"] != "broken"),
        "broken": [_state_break(own) for own, said in zip(tries, promises, strict=True) if said == "broken"],
        "kept": kept if tested else "No promise was put to the test.",
        "compared": any(attack["qr"] is not None for attack in attacks),
        "published": PUBLISHED,
    }


def _state_verdict(found: Row | None, signature: Row | None) -> dict[str, str] | None:
    if found is not None:
        return {"sentence": found["sentence"], "tone": TONES[found["verdict"]]}
    if signature is None:
        return None
    if signature["verdict"] == NOT_SIGNED:
        return {"sentence": "The ticket is not signed.", "tone": "even"}
    owned = signature["verdict"] == "owned"
    says = "carries" if owned else "does not show"
    bits = f"{signature['mask_code_bits']:.0f} bits of evidence"
    sentence = f"Read back after training, the ticket {says} the mark of {signature['owner']}: {bits}."
    return {"sentence": sentence, "tone": "good" if owned else "bad"}


def _list_claim(found: Row | None, signature: Row | None) -> list[Fact]:
    """List what the claim says, and how much evidence there is for it."""
    if found is None:
        return [] if signature is None else [("Owner", str(signature["owner"]), "")]
    facts = [("Owner", str(found["owner"]), "")]
    if key := found.get("public_key"):
        facts.append(("Public key", fmt.short_fingerprint(key) + "…", ""))
    facts += [(name, *_describe_stamp(found[name.lower()])) for name in ("Committed", "Released")]
    facts.append(("Bits of evidence", f"{found['bits']:.0f}", f"{found['alpha_bits']:.0f} are needed"))
    return facts


def _list_signature(signature: Row | None, results: Mapping[str, Mapping[str, Any]]) -> list[Fact]:
    """List what the signature changed."""
    if signature is None:
        return []
    method = str(signature["signed_method"])
    run = name_run(method)
    kept = signature["kept"]
    weights = f"{fmt.whole(kept)} of D = {fmt.whole(signature['prunable'])} weights"
    changed = f"kept or pruned anew, of a mask that keeps k = {fmt.whole(kept)}"
    return [
        ("Signed ticket", f"{label_run(run, method)}, density {fmt.density(signature['density'])}", weights),
        _compare_accuracy(signature, results.get(run, {}).get("metrics")),
        ("Edits of the mask", f"{fmt.whole(signature['edits'])} weights", changed),
    ]


def _compare_accuracy(signature: Row, unsigned: Row | None) -> Fact:
    """Put the signed ticket beside the same ticket unsigned, unless the latter has been replaced since."""
    accuracy = signature["test_accuracy"]
    if unsigned is None or unsigned.get("ticket") != signature["unsigned"]:
        note = "there is no result of the same ticket unsigned"
    else:
        difference = fmt.points(accuracy - unsigned["test_accuracy"])
        note = f"{fmt.percent(unsigned['test_accuracy'])} unsigned ({difference} points)"
    return ("Test accuracy", fmt.percent(accuracy), note)


def _list_triggers(found: Row | None, signature: Row | None) -> list[Fact]:
    """Say what the triggers showed in the verification, or else when the signature was read back."""
    sources = ((found, "triggers", ""), (signature, "trigger", ", read back after training"))
    for numbers, prefix, when in sources:
        if numbers and numbers.get(f"{prefix}_counted"):
            hits, counted, bits = (numbers[f"{prefix}_{name}"] for name in ("hits", "counted", "bits"))
            says = f"{hits} of {counted} get the key's label"
            return [("Trigger images", says, f"{bits:.0f} bits of evidence{when}")]
    return []


def _describe_stamp(stamp: Row | None) -> tuple[str, str]:
    if stamp is None:
        return "not dated", ""
    moment = datetime.fromisoformat(stamp["time"]).astimezone(UTC)
    return f"{moment:%Y-%m-%d %H:%M} UTC", f"dated by {STAMPS[stamp['kind']]}"


def _describe_check(check: Row) -> dict[str, str]:
    mark, tone, word = MARKS[check["passed"]]
    return {"check": check["check"], "says": check["says"], "mark": mark, "tone": tone, "word": word}


def _describe_attack(rows: Sequence[Row]) -> dict[str, Any]:
    shown = _choose_try(rows)
    made = [row for row in rows if not row["note"]]  # those with a note were impossible on this network
    held = [row["held"] for row in rows if row["held"] is not None]
    untested = "not tested" if shown["pledge"] == "must" else "none"
    promise = untested if not held else "kept" if all(held) else "broken"
    look = look_of_attack(str(shown["attack"]), str(shown["name"]))
    drop = shown["accuracy_drop"]
    qr = [row["qr_decoded"] for row in rows if row["qr_decoded"] is not None]
    return {
        **shown,
        "label": look.label,
        "colour": look.colour,
        "change": None if drop is None else -drop,
        "detected_in": _count([row["detected"] for row in made]),
        "decoded_in": _count([row["decoded"] for row in made]),
        "qr": shown["qr_decoded"],
        "qr_in": _count(qr),
        "promise": promise,
        "promise_tone": PROMISES[promise],
    }


def _count(found: Sequence[bool]) -> str:
    """Count how often something was found, where there was more than one try."""
    return f"{sum(found)} of {len(found)}" if len(found) > 1 else ""


def _choose_try(rows: Sequence[Row]) -> Row:
    """Return the try that stands for an attack: one that broke the promise, or else the strongest."""
    broken = [row for row in rows if row["held"] is False]
    made = [row for row in rows if not row["note"]] or rows
    last = [row for row in made if row["parameters"] == made[-1]["parameters"]]
    return min(broken or last, key=lambda row: row["bits"])


def _state_break(rows: Sequence[Row]) -> str:
    """Say how an attack broke its promise, by its worst try."""
    worst = _choose_try(rows)
    covered = [row["held"] for row in rows if row["held"] is not None]
    start = f"{worst['attack']} {worst['name']}"
    if len(covered) > 1:
        often = f"{covered.count(False)} of the {len(covered)} tries that the promise covers"
        start = f"{start}, in {often}. The worst"
    details = [part for part in (str(worst["parameters"]), f"seed {worst['seed']}") if part]
    said = [f"{worst['bits']:.0f} bits of evidence where {worst['alpha_bits']:.0f} are needed"]
    said.append("payload decoded" if worst["decoded"] else "payload not decoded")
    if worst["trigger_counted"]:
        said.append(f"{worst['trigger_hits']} of {worst['trigger_counted']} triggers")
    if worst["accuracy_drop"] is not None:
        said.append(f"accuracy {fmt.points(-worst['accuracy_drop'])} points")
    return f"{', '.join([start, *details])}: {', '.join(said)}."
