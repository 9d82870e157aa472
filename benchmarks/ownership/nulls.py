"""Strangers: networks without the mark, and keys that are not the owner's. None of them may verify."""

import hashlib
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
from torch import Tensor

from lottery_pipeline.ownership.carriers import place_groups
from lottery_pipeline.ownership.claims import Claim, open_as_owner
from lottery_pipeline.ownership.keys import OwnerKey
from lottery_pipeline.ownership.reading import CHANCE, count_matches, flatten_kernels, read_groups
from lottery_pipeline.ownership.significance import binomial_bits, randomised_p
from lottery_pipeline.ownership.signing import mark_of
from lottery_pipeline.ownership.suspect import gather_suspect
from lottery_pipeline.ownership.verify import verify_claim

WRONG_KEYS = 10_000
KEYS_PER_PART = 625


def read_stranger(claim: Claim, key: OwnerKey, name: str, state: dict[str, Tensor]) -> dict[str, Any]:
    """Verify a network that does not have the mark, with the true key and the whole alignment."""
    found = verify_claim(claim, gather_suspect(state, claim.ticket), opened=open_as_owner(claim, key))
    code = found["mask_code"]
    uncharged = binomial_bits(code["matches"], code["counted"], CHANCE)
    return {"network": name, "verdict": found["verdict"], "uncharged_bits": uncharged, **code}


def read_wrong_keys(claim: Claim, numbers: Iterable[int]) -> dict[str, Any]:
    """Look for marks of wrong keys in the signed network, in its own order.

    Returns:
        ``p`` (randomised p-values, which are uniform if the null is exact) and ``most_bits``.
    """
    ticket, bundle = claim.ticket, claim.bundle
    weights = {name: flatten_kernels(ticket.state[name]) for name in ticket.masks}
    generator = np.random.default_rng(min(numbers := list(numbers)))
    p_values, most = [], 0.0
    for number in numbers:
        mark = replace(mark_of(bundle, b""), key=hashlib.sha256(f"wrong key {number}".encode()).digest())
        groups = place_groups(mark.key, ticket.masks, mark.planned)
        matches, counted = count_matches(read_groups(weights, groups, normalised=False), mark.targets())
        p_values.append(randomised_p(matches, counted, CHANCE, generator.random()))
        most = max(most, binomial_bits(matches, counted, CHANCE))
    return {"p": p_values, "most_bits": most}
