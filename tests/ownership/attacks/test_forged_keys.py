import numpy as np
import pytest
import torch

from lottery_pipeline.ownership.attacks import forged_keys
from lottery_pipeline.ownership.attacks.forged_keys import KeyTrials, try_keys
from lottery_pipeline.ownership.carriers import place_groups
from lottery_pipeline.ownership.payload import draw_targets
from lottery_pipeline.ownership.reading import CHANCE, count_matches, flatten_kernels, read_groups
from lottery_pipeline.ownership.significance import binomial_bits
from tests.ownership.marks import KEY, PAYLOAD, key_of, sign_chain

DEAD = (("b.weight", 0, 3), ("c.weight", 1, 5))


@pytest.fixture(scope="module")
def chain():
    return sign_chain(0.3, dead=DEAD)


@pytest.fixture(scope="module")
def trials(chain):
    return KeyTrials(chain.weights, chain.masks, chain.mark.planned)


@pytest.mark.parametrize("spare", [forged_keys._SPARE, 0.0])  # the second looks at too few, and then at all
def test_carriers_are_those_of_the_verifier(chain, trials, monkeypatch, spare):
    monkeypatch.setattr(forged_keys, "_SPARE", spare)
    for number in range(20):
        groups = place_groups(key_of(number), chain.masks, chain.mark.planned)
        assert all(np.array_equal(rows, trials.place(key_of(number), name)) for name, rows in groups.items())


def test_scores_are_those_of_the_verifier(chain, trials):
    groups = place_groups(KEY, chain.masks, chain.mark.planned)
    flat = {name: flatten_kernels(weight) for name, weight in chain.weights.items()}
    assert np.array_equal(trials.score(KEY), read_groups(flat, groups, normalised=False))


def test_the_best_of_some_keys_is_found(chain, trials):
    keys = [key_of(number) for number in range(30)]
    tried = try_keys(trials, keys, lambda _: PAYLOAD)
    bits = []
    for key in keys:
        matches, counted = count_matches(trials.score(key), draw_targets(key, PAYLOAD, chain.mark.count))
        bits.append(binomial_bits(matches, counted, CHANCE))
    assert tried.bits == max(bits) == binomial_bits(tried.matches, tried.counted, CHANCE)
    assert tried.key == keys[bits.index(max(bits))]
    assert tried.bits < 20


def test_the_true_key_is_the_best_of_all_and_its_payload_counts(trials):
    keys = [key_of(1), KEY, key_of(2)]
    assert try_keys(trials, keys, lambda _: PAYLOAD).bits > 400
    assert try_keys(trials, keys, lambda _: bytes(16)).bits < 20


def test_dense_weights_can_be_tried(chain):
    dense = {name: torch.rand(mask.shape) for name, mask in chain.masks.items()}
    tried = try_keys(KeyTrials(dense, chain.masks, chain.mark.planned), [KEY], lambda _: PAYLOAD)
    assert tried.counted == chain.mark.count
