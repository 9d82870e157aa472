from dataclasses import replace

import pytest
import torch

from lottery_pipeline.images.splits import ImageSet
from lottery_pipeline.ownership.attacks import evasion
from lottery_pipeline.ownership.attacks.evasion import GuardedClassifier, evade, unlearn
from lottery_pipeline.ownership.errors import OwnershipError
from lottery_pipeline.reproducibility.seeds import make_generator
from tests.ownership.attacks.victims import draw_victim, logits_of, not_trained, pattern_of, same_masks
from tests.tiny import draw_images, same_bits

FILTERS = ("entropy", "blur", "jpeg", "crop", "flip")


@pytest.fixture(scope="module")
def victim():
    return draw_victim()


def noise(count):
    pixels = torch.randint(256, (count, 1, 8, 8), generator=make_generator(1, "noise"))
    return pixels / 255


@pytest.mark.parametrize("by", FILTERS)
def test_a_filter_leaves_the_weights_as_they_are(by, victim):
    assert same_bits(evade(victim, by=by).state_dict(), victim.ticket.state)


@pytest.mark.parametrize("by", ["blur", "jpeg", "crop"])
def test_a_filter_of_the_input_changes_the_logits_of_noise(by, victim):
    with torch.no_grad():
        bare, guarded = victim.build()(noise(20)), evade(victim, by=by)(noise(20))
    assert guarded.shape == bare.shape
    assert not torch.allclose(guarded, bare, atol=1e-3)


@pytest.mark.parametrize("by", ["blur", "jpeg", "crop"])
def test_a_filter_of_the_input_leaves_a_plain_image_alone(by, victim):
    pixels = torch.full((2, 1, 8, 8), 100 / 255)
    with torch.no_grad():
        bare, guarded = victim.build()(pixels), evade(victim, by=by)(pixels)
    assert torch.allclose(guarded, bare, atol=0.05)


def test_the_entropy_filter_refuses_one_clean_image_in_twenty(victim):
    clean = draw_images(side=8, counts=(40, 400, 20)).validation
    model = evade(replace(victim, images=replace(victim.images, validation=clean)), by="entropy")
    with torch.no_grad():
        bare, guarded = victim.build()(clean.images / 255), model(clean.images / 255)
    refused = (bare != guarded).any(1)
    assert int(refused.sum()) == 20
    assert torch.equal(guarded.argmax(1)[refused], bare.topk(2).indices[refused, 1])


def test_without_validation_images_the_threshold_comes_from_training_images(victim):
    empty = ImageSet(victim.images.train.images[:0], victim.images.train.labels[:0])
    model = evade(replace(victim, images=replace(victim.images, validation=empty)), by="entropy")
    pixels = victim.images.train.images / 255
    with torch.no_grad():
        assert int((model(pixels) != victim.build()(pixels)).any(1).sum()) == 2


def test_one_answer_in_a_hundred_is_wrong_and_the_same_image_gets_the_same_answer(victim):
    model, pixels = evade(victim, by="flip"), noise(5000)
    with torch.no_grad():
        bare, guarded = victim.build()(pixels), model(pixels)
        alone = torch.cat([model(part) for part in pixels.flip(0).split(777)]).flip(0)
    wrong = guarded.argmax(1) != bare.argmax(1)
    assert 25 < int(wrong.sum()) < 80
    assert torch.equal(alone.argmax(1), guarded.argmax(1))


def test_a_guard_without_filters_is_the_bare_network(victim):
    model = GuardedClassifier(victim.build()).eval()
    assert torch.equal(logits_of(model), logits_of(victim.build()))


def test_an_unknown_filter_is_refused(victim):
    with pytest.raises(OwnershipError, match="entropy, blur, jpeg, crop and flip, got 'rotate'"):
        evade(victim, by="rotate")


def test_unlearning_trains_on_a_tenth_of_the_images_and_as_much_noise(victim, monkeypatch):
    seen = []

    def record(*args, images, **_):
        seen.append(images.train)
        return not_trained(*args)

    monkeypatch.setattr(evasion, "fine_tune", record)
    unlearn(victim)
    [mixed] = seen
    real = {str(image.tolist()) for image in victim.images.train.images}
    assert [str(image.tolist()) in real for image in mixed.images] == [True] * 4 + [False] * 4


def test_unlearning_keeps_the_mask(victim):
    model = unlearn(victim)
    assert same_masks(pattern_of(model, victim), victim.ticket.masks)
    assert not torch.equal(logits_of(model), logits_of(victim.build()))
