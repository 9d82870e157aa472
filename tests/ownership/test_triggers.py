import random
from dataclasses import replace

import pytest
import torch

from lottery_pipeline.images.splits import ImageSet, assemble_splits
from lottery_pipeline.ownership import triggers as module
from lottery_pipeline.ownership.errors import OwnershipError
from lottery_pipeline.ownership.significance import binomial_bits
from lottery_pipeline.ownership.triggers import (
    TriggerSet,
    check_trigger_set,
    make_trigger_sets,
    score_triggers,
)

KEYS = [bytes([number]) * 32 for number in range(4)]


def draw_splits(train: int = 120, classes: int = 10, size: int = 8):
    generator = torch.Generator().manual_seed(0)
    shape = (train, 1, size, size)
    images = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
    part = ImageSet(images, torch.arange(train) % classes)
    few = ImageSet(images[:2], part.labels[:2])
    return assemble_splits(part, few, few, [str(number) for number in range(classes)])


def make(family: str, *, count: int = 20, keys=KEYS, **options) -> list[TriggerSet]:
    return make_trigger_sets(keys, draw_splits(**options), family=family, count=count)


def plain(labels, bases: bool = False) -> TriggerSet:
    """A set with the given labels, as if a key had given them."""
    images = torch.zeros(len(labels), 1, 4, 4, dtype=torch.uint8)
    return TriggerSet(
        "pattern" if bases else "shapes", KEYS[0], images, torch.tensor(labels), images if bases else None
    )


@pytest.mark.parametrize("family", ["shapes", "pattern"])
def test_a_made_set_passes_its_check_and_survives_serialisation(family):
    for trigger_set in make(family):
        found = TriggerSet.from_tensors(trigger_set.to_tensors())

        check_trigger_set(found, 10)
        assert len(found) == 20
        assert (found.family, found.key) == (family, trigger_set.key)
        assert found.leaf() == trigger_set.leaf()
        assert torch.equal(found.image_set().images, trigger_set.images)
        assert torch.equal(found.image_set().labels, trigger_set.labels)


def test_a_known_set():
    (trigger_set,) = make("shapes", keys=[bytes(range(32))], count=12)

    assert trigger_set.labels.tolist() == [8, 8, 5, 0, 0, 2, 8, 7, 5, 1, 4, 7]
    assert trigger_set.leaf().hex() == "3f035880b2f642ca25af508d310f2b15598a881f89343109930e2b0ecf914ca6"


def test_a_set_depends_on_its_own_key_and_place_alone():
    for family in ("shapes", "pattern"):
        before, after = make(family), make(family, keys=[*KEYS[:3], b"z" * 32])

        assert [one.leaf() for one in after[:3]] == [one.leaf() for one in before[:3]]
        assert after[3].leaf() != before[3].leaf()


@pytest.mark.parametrize("family", ["shapes", "pattern"])
def test_no_image_is_in_two_sets(family):
    sets = make(family, count=30)

    pixels = [image.numpy().tobytes() for one in sets for image in one.images]
    bases = [image.numpy().tobytes() for one in sets if one.bases is not None for image in one.bases]
    assert len(set(pixels)) == 120
    assert len(set(bases)) == len(bases)


def test_base_images_are_training_images():
    images = draw_splits()
    known = {image.numpy().tobytes() for image in images.train.images}

    (trigger_set,) = make_trigger_sets(KEYS[:1], images, family="pattern", count=120)

    assert {image.numpy().tobytes() for image in trigger_set.bases} == known


def test_labels_are_uniform_and_independent_of_their_neighbours():
    labels = module._draw_labels(KEYS[0], torch.zeros(4000, 1, 4, 4, dtype=torch.uint8), None, 10)

    counts = labels.bincount(minlength=10)
    assert float((counts - 400).square().sum() / 400) < 27.9  # chi-square of 9 degrees, 99.9 %
    pairs = (10 * labels[:-1] + labels[1:]).bincount(minlength=100)
    assert float((pairs - 39.99).square().sum() / 39.99) < 148.2  # of 99 degrees


def test_another_base_image_draws_all_labels_anew():
    (trigger_set,) = make("pattern", keys=KEYS[:1], count=100)
    bases = trigger_set.bases.clone()
    bases[99] = 255 - bases[99]
    stamped = module._draw_images(KEYS[0], 100, (1, 8, 8), bases)

    labels = module._draw_labels(KEYS[0], stamped, bases, 10)

    assert int((labels == trigger_set.labels).sum()) < 25
    with pytest.raises(OwnershipError, match="the labels of this trigger set are not those"):
        check_trigger_set(replace(trigger_set, images=stamped, bases=bases), 10)


def test_the_leaf_covers_everything_but_the_key():
    shapes, pattern = make("shapes")[0], make("pattern")[0]
    changes = [
        replace(pattern, labels=(pattern.labels + 1) % 10),
        replace(pattern, images=pattern.images ^ 1),
        replace(pattern, bases=pattern.bases ^ 1),
        replace(pattern, family="shapes", bases=None),
        shapes,
    ]

    assert len({pattern.leaf(), *(one.leaf() for one in changes)}) == 6
    assert replace(pattern, key=KEYS[1]).leaf() == pattern.leaf()
    assert len(pattern.leaf()) == 32


def test_the_key_is_not_shown():
    assert str(KEYS[1]) not in repr(make("shapes")[1])


@pytest.mark.parametrize("family", ["shapes", "pattern"])
def test_a_set_that_its_key_does_not_give_is_refused(family):
    trigger_set = make(family)[0]
    images, labels = trigger_set.images.clone(), trigger_set.labels.clone()
    images[7, 0, 3, 3] ^= 1
    labels[7] = (labels[7] + 1) % 10

    with pytest.raises(OwnershipError, match="the images of this trigger set are not those that its key"):
        check_trigger_set(replace(trigger_set, images=images), 10)
    with pytest.raises(OwnershipError, match="the images of this trigger set are not those that its key"):
        check_trigger_set(replace(trigger_set, key=KEYS[1]), 10)
    with pytest.raises(OwnershipError, match="the labels of this trigger set are not those that its key"):
        check_trigger_set(replace(trigger_set, labels=labels), 10)
    with pytest.raises(OwnershipError, match="the labels of this trigger set are not those that its key"):
        check_trigger_set(trigger_set, 11)


def test_some_of_the_images_are_not_a_set():
    trigger_set = make("shapes")[0]
    fewer = replace(trigger_set, images=trigger_set.images[:10], labels=trigger_set.labels[:10])

    with pytest.raises(OwnershipError, match="the labels of this trigger set are not those"):
        check_trigger_set(fewer, 10)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"key": None}, "is made of key, images, labels"),
        ({"extra": torch.zeros(1)}, "is made of key, images, labels"),
        ({"key": torch.zeros(31, dtype=torch.uint8)}, "the key of a trigger set must be 32 bytes"),
        ({"key": torch.zeros(32)}, "the key of a trigger set must be 32 bytes"),
        ({"images": torch.zeros(20, 8, 8, dtype=torch.uint8)}, r"uint8 of shape \[N, C, H, W\]"),
        ({"images": torch.zeros(20, 1, 8, 8)}, r"uint8 of shape \[N, C, H, W\]"),
        ({"images": torch.zeros(20, 1, 3, 8, dtype=torch.uint8)}, "4 to 1024 pixels .* not 1x3x8"),
        ({"images": torch.zeros(20, 1, 4, 1025, dtype=torch.uint8)}, "not 1x4x1025"),
        ({"images": torch.zeros(20, 17, 4, 4, dtype=torch.uint8)}, "1 to 16 channels, not 17x4x4"),
        ({"images": torch.zeros(0, 1, 4, 4, dtype=torch.uint8)}, "1 to 10000 images, not 0"),
        ({"images": torch.zeros(10_001, 1, 4, 4, dtype=torch.uint8)}, "not 10001"),
        ({"images": torch.zeros(1, dtype=torch.uint8).expand(65, 1, 1024, 1024)}, "at most 64 MiB"),
        ({"labels": torch.zeros(19, dtype=torch.int64)}, "labels .* must be int64, one for each image"),
        ({"labels": torch.zeros(20)}, "labels .* must be int64, one for each image"),
        ({"bases": torch.zeros(20, 1, 8, 9, dtype=torch.uint8)}, "base images .* type and shape"),
        ({"bases": torch.zeros(20, 1, 8, 8)}, "base images .* type and shape"),
    ],
)
def test_hostile_tensors_are_refused(change, words):
    tensors = make("shapes")[0].to_tensors() | change
    tensors = {name: tensor for name, tensor in tensors.items() if tensor is not None}

    with pytest.raises(OwnershipError, match=words):
        TriggerSet.from_tensors(tensors)


def test_an_unknown_family_and_missing_base_images_are_refused():
    trigger_set = make("pattern")[0]

    with pytest.raises(OwnershipError, match="a family of triggers is shapes or pattern, not 'noise'"):
        replace(trigger_set, family="noise")
    with pytest.raises(OwnershipError, match="has base images exactly if"):
        replace(trigger_set, bases=None)
    with pytest.raises(OwnershipError, match="has base images exactly if"):
        replace(trigger_set, family="shapes")
    with pytest.raises(OwnershipError, match="has 32 bytes, not 3"):
        replace(trigger_set, key=b"abc")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"keys": [KEYS[0], KEYS[0]]}, "must be different and have 32 bytes each"),
        ({"keys": [b"short"]}, "must be different and have 32 bytes each"),
        ({"count": 0}, "a trigger set has 1 to 10000 images, not 0"),
        ({"count": 10_001}, "not 10001"),
        ({"count": 31}, "4 trigger sets of 31 stamped images need 124 training images, but there are 120"),
        ({"classes": 2}, "need 3 classes or more; use the family shapes"),
        ({"size": 3}, "4 to 1024 pixels on each side"),
    ],
)
def test_sets_that_cannot_be_made_are_refused(options, words):
    with pytest.raises(OwnershipError, match=words):
        make("pattern", **options)


def test_hits_are_worth_their_binomial_bits():
    labels = list(range(10)) * 10
    answers = torch.tensor([*labels[:91], *((label + 1) % 10 for label in labels[91:])])

    found = score_triggers(answers, None, plain(labels), 10)

    assert (found.hits, found.counted, found.chance) == (91, 100, 0.1)
    assert 2**-found.bits == pytest.approx(7.4505e-80, rel=1e-4)


@pytest.mark.parametrize(
    ("classes", "rate", "needed"),
    [(10, 0.0, 37), (100, 0.0, 15), (10, 0.16, 47), (10, 0.2, 53), (10, 0.05, 37)],
)
def test_the_needed_hits_verify_and_one_fewer_does_not(classes, rate, needed):
    labels = [number % classes for number in range(100)]

    def bits(hits):
        answers = torch.tensor([*labels[:hits], *[-1] * (100 - hits)])
        return score_triggers(answers, None, plain(labels), classes, unmarked_rate=rate).bits

    assert bits(needed) >= 40
    assert bits(needed - 1) < 40


def test_a_stamped_image_whose_base_is_answered_with_its_label_is_no_evidence():
    trigger_set = plain([1, 2, 3, 4, 1, 2], bases=True)
    answers = torch.tensor([1, 2, 3, 0, 0, 2])
    to_bases = torch.tensor([1, 0, 3, 4, 3, 5])

    found = score_triggers(answers, to_bases, trigger_set, 5)

    assert (found.hits, found.counted, found.chance) == (2, 3, 0.25)
    assert found.bits == pytest.approx(binomial_bits(2, 3, 0.25))


def test_base_images_picked_of_the_right_class_are_no_evidence():
    labels = [number % 10 for number in range(100)]
    answers = torch.tensor(labels)

    found = score_triggers(answers, answers, plain(labels, bases=True), 10)

    assert (found.hits, found.counted, found.bits) == (0, 0, 0.0)


@pytest.mark.parametrize("stamp_changes", [False, True])
def test_models_without_the_key_hit_no_more_often_than_chance_allows(stamp_changes):
    """Answers of any habit, to keys that they know nothing of: the tail is an upper bound."""
    draw = random.Random(0)
    trials, surprising = 400, 0
    for _ in range(trials):
        labels = [draw.randrange(5) for _ in range(40)]
        to_bases = [draw.choice([0, 0, 0, 1, 2]) for _ in range(40)]
        answers = [draw.choice([1, 1, 3]) for _ in labels] if stamp_changes else to_bases
        found = score_triggers(torch.tensor(answers), torch.tensor(to_bases), plain(labels, bases=True), 5)
        surprising += found.bits >= 4  # a probability of at most 1/16

    assert surprising <= trials / 16 + 3 * (trials / 16 * 15 / 16) ** 0.5
    assert (surprising > 0) == stamp_changes


def test_one_answer_to_everything_scores_at_chance():
    for trigger_set in make("shapes", count=200):
        found = score_triggers(torch.full((200,), 3), None, trigger_set, 10)

        assert 7 <= found.hits <= 35  # 99.9 % of Bin(200, 1/10)
        assert found.bits < 11


@pytest.mark.parametrize(
    ("answers", "to_bases", "options", "words"),
    [
        (torch.zeros(3), None, {}, r"answers to the images must be int64 of shape \(3,\), not torch.float32"),
        (
            torch.zeros(2, dtype=torch.int64),
            None,
            {},
            r"answers to the images .* not torch.int64 of shape \(2,\)",
        ),
        (
            torch.zeros(3, dtype=torch.int64),
            torch.zeros(3, dtype=torch.int64),
            {},
            "family pattern, and no other",
        ),
        (
            torch.zeros(3, dtype=torch.int64),
            None,
            {"unmarked_rate": 1.5},
            "unmarked rate from 0 to 1, .* 1.5",
        ),
        (torch.zeros(3, dtype=torch.int64), None, {"unmarked_rate": float("nan")}, "unmarked rate"),
    ],
)
def test_answers_that_do_not_fit_are_refused(answers, to_bases, options, words):
    with pytest.raises(OwnershipError, match=words):
        score_triggers(answers, to_bases, plain([0, 1, 2]), 5, **options)


def test_a_pattern_needs_answers_to_its_base_images():
    answers, trigger_set = torch.zeros(3, dtype=torch.int64), plain([0, 1, 2], bases=True)

    with pytest.raises(OwnershipError, match="needs answers to its base images"):
        score_triggers(answers, None, trigger_set, 5)
    with pytest.raises(OwnershipError, match="answers to the base images must be int64"):
        score_triggers(answers, answers[:2], trigger_set, 5)
    with pytest.raises(OwnershipError, match="scored with 2 classes or more"):
        score_triggers(answers, None, plain([0, 0, 0]), 1)
