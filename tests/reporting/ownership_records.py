"""Records of a signature, its verification and the attacks on it, small and literal."""

from typing import Any


def make_signature(**changes: Any) -> dict[str, Any]:
    """The record of a signed ticket of LTR."""
    metrics = {
        "signed_method": "ltr",
        "seed": 0,
        "density": 0.1,
        "kept": 6_700,
        "prunable": 67_000,
        "test_accuracy": 0.972,
        "edits": 238,
        "groups": 144,
        "mask_code_bits": 430.0,
        "decoded": True,
        "trigger_hits": 99,
        "trigger_counted": 100,
        "trigger_bits": 322.4,
        "verdict": "owned",
        "owner": "Ada Example",
        "ticket": "5" * 64,
        "unsigned": "4" * 64,
        "fingerprint": "6" * 64,
    }
    return {"metrics": metrics | changes, "history": [{"epoch": 1, "step": 10, "train_loss": 0.5}]}


def make_verification(**changes: Any) -> dict[str, Any]:
    """The record of a verification by the owner: owned, dated by the log alone."""
    metrics = {
        "verdict": "owned",
        "sentence": "The suspect was made from the ticket of Ada Example: 429 bits of evidence.",
        "owner": "Ada Example",
        "public_key": "a1b2c3d4e5f6" + "0" * 52,
        "committed": {"time": "2026-11-27T17:41:13+00:00", "kind": "log"},
        "released": {"time": "2026-11-27T19:20:00+01:00", "kind": "rfc3161"},
        "bits": 429.0,
        "alpha_bits": 64,
        "mask_code_matches": 144,
        "mask_code_counted": 144,
        "mask_code_bits": 430.0,
        "mask_code_decoded": True,
    }
    checks = [
        {"check": "credential", "passed": True, "says": "signatures, log and ticket agree"},
        {"check": "same file", "passed": None, "says": "the suspect is not the published file"},
        {"check": "mask code decoded", "passed": False, "says": "no payload was read"},
    ]
    return {"metrics": metrics | changes, "checks": checks}


def make_try(attack: str = "A5", parameters: str = "share=0.1", **changes: Any) -> dict[str, Any]:
    """A row of the attacks: by default one that cost a point and left the mark."""
    names = {"A0": "none", "A4": "transfer", "A5": "magnitude pruning", "A22": "extraction"}
    row = {
        "attack": attack,
        "name": names.get(attack, "some attack"),
        "family": "pruning",
        "parameters": parameters,
        "seed": 0,
        "accuracy": 0.962,
        "accuracy_drop": 0.01,
        "bits": 310.5,
        "alpha_bits": 64,
        "detected": True,
        "decoded": True,
        "matches": 121,
        "counted": 144,
        "aligned": False,
        "normalised": False,
        "trigger_hits": 97,
        "trigger_counted": 100,
        "trigger_bits": 300.0,
        "verdict": "owned",
        "pledge": "must",
        "held": True,
        "qr_decoded": True,
        "qr_matched": 540,
        "qr_read": 551,
        "qr_accuracy": 0.96,
        "seconds": 1.0,
        "note": "",
    }
    return row | changes
