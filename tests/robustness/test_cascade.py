import json

import pytest
import torch
from torch import Tensor, nn

from lottery_pipeline.images.splits import ImageSet
from lottery_pipeline.options.robustness import AdversarialOptions
from lottery_pipeline.reproducibility.checkpoints import Checkpoints
from lottery_pipeline.robustness.attacks import ATTACKS, Attack, Outcome
from lottery_pipeline.robustness.fgsm import fgsm
from lottery_pipeline.robustness.noise import draw_noise
from lottery_pipeline.robustness.threat import Threat
from tests.reference.adversarial_naive import count_gradients_naively, find_first_steps, find_least_eps
from tests.robustness.attacked import ALL, EPS, SMALL, curve, draw_partly_wrong, measure
from tests.robustness.linear_models import BentNet, LinearNet, draw_images, find_radii, predict


@pytest.fixture
def model() -> nn.Module:
    return BentNet()


@pytest.fixture
def images(model) -> ImageSet:
    return draw_partly_wrong(model)


@pytest.mark.parametrize("attacks", [("fgsm", "pgd"), ("pgd", "fmn", "fgsm")])
@pytest.mark.parametrize("norm", ["Linf", "L2"])
def test_the_cascade_finds_what_every_attack_on_every_image_at_every_eps_finds(model, images, attacks, norm):
    options = AdversarialOptions(**{**SMALL, "attacks": attacks, "norm": norm, "batch_size": 7})
    indices = torch.arange(36)

    found = measure(model, images, attacks=attacks, norm=norm, batch_size=7)
    naive = find_least_eps(model, images.images / 255, images.labels, indices, options, found["eps"], seed=0)

    assert found["least_eps"] == pytest.approx(naive, abs=1e-5)
    assert len({value for value in naive if value}) > 1


def test_fmn_runs_once_on_the_right_images_whatever_its_place(model, images):
    attacked = []

    measure(model, images, attacks=("fgsm", "pgd", "fmn"), batch_size=20, on_progress=attacked.append)

    assert [(batch.attack, batch.eps) for batch in attacked[:2]] == [("fmn", None), ("fmn", None)]
    assert sum(len(batch.indices) for batch in attacked[:2]) == 30
    assert all(batch.attack != "fmn" for batch in attacked[2:])


def test_only_images_that_stand_are_attacked_on(model, images):
    attacked = []

    found = measure(model, images, batch_size=5, on_progress=attacked.append)

    triples = [(index, batch.eps, batch.attack) for batch in attacked for index in batch.indices]
    assert len(triples) == len(set(triples)) == found["attacked"]
    for index, eps, _ in triples:
        least = found["least_eps"][index]
        assert least != 0.0
        assert eps is None or least is None or least >= eps
    assert all(len(batch.indices) <= 5 for batch in attacked)


def test_gradients_are_those_that_the_images_still_standing_need(model, images):
    pixels, given = images.images / 255, {"steps": 12, "seed": 0, "step_size": 0.002}

    found = measure(
        model, images, attacks=("fgsm", "pgd"), steps=12, step_size=0.002, eps_limit=None, batch_size=100
    )

    expected, standing = 0, (predict(model, pixels) == images.labels).nonzero().squeeze(1)
    for eps in EPS:
        threat = Threat("Linf", eps)
        expected += len(standing)  # FGSM
        standing = _left_by_fgsm(model, pixels, images.labels, standing, threat)
        chosen = (pixels[standing], images.labels[standing], threat)
        first = find_first_steps(model, *chosen, indices=standing, **given)
        expected += count_gradients_naively(first, steps=12)
        standing = standing[[step is None for step in first]]
    assert found["gradients"] == expected
    without_cascade = 30 * len(EPS) * (1 + 12)
    assert found["gradients"] < without_cascade


def _left_by_fgsm(
    model: nn.Module, pixels: Tensor, labels: Tensor, standing: Tensor, threat: Threat
) -> Tensor:
    found = fgsm(model, pixels[standing], labels[standing], threat)
    return standing[predict(model, found) == labels[standing]]


def test_the_curve_is_extended_while_more_than_half_of_the_accuracy_stands():
    model = LinearNet(2)
    images = draw_images(model, 40)
    radii = find_radii(model, images.images / 255, images.labels, "Linf")
    start = float(radii.median()) / 5

    found = measure(model, images, eps=(start,), eps_limit=start * 100, attacks=("fgsm",))
    limited = measure(model, images, eps=(start,), eps_limit=start * 3, attacks=("fgsm",))
    left = measure(model, images, eps=(start,), eps_limit=None, attacks=("fgsm",))

    assert found["eps"] == [start, 2 * start, 4 * start, 8 * start]
    assert curve(found)[-2] > 0.5 >= curve(found)[-1]
    assert limited["eps"] == [start, 2 * start, 3 * start]
    assert left["eps"] == [start]


def stop_after(batches: int):
    """A hook that stops the evaluation after so many batches."""
    attacked = []

    def hook(batch) -> None:
        attacked.append(batch)
        if len(attacked) == batches:
            raise KeyboardInterrupt

    return hook, attacked


def test_a_stopped_evaluation_resumes_without_attacking_an_image_twice(model, images, tmp_path):
    whole, given = [], {**ALL, "eps": EPS[:2], "batch_size": 20}
    uninterrupted = measure(model, images, **given, on_progress=whole.append)
    assert len(whole) > 10
    attacked = []
    for _ in range(len(whole) + 1):
        hook, seen = stop_after(1)
        try:
            resumed = measure(model, images, **given, on_progress=hook, checkpoints=Checkpoints(tmp_path))
        except KeyboardInterrupt:
            attacked += seen
        else:
            break

    assert attacked == whole
    assert json.dumps(resumed) == json.dumps(uninterrupted)


def test_a_stop_within_a_batch_costs_that_batch_alone(model, images, tmp_path):
    uninterrupted = measure(model, images, batch_size=10)
    calls = 0

    def count(*_given: object) -> None:
        nonlocal calls
        calls += 1
        if calls == 60:
            raise KeyboardInterrupt

    before, after = [], []
    handle = model.register_forward_hook(count)
    with pytest.raises(KeyboardInterrupt):
        measure(model, images, batch_size=10, checkpoints=Checkpoints(tmp_path), on_progress=before.append)
    handle.remove()
    resumed = measure(
        model, images, batch_size=10, checkpoints=Checkpoints(tmp_path), on_progress=after.append
    )

    triples = [(index, batch.eps, batch.attack) for batch in before + after for index in batch.indices]
    assert before
    assert len(triples) == len(set(triples)) == resumed["attacked"]
    assert json.dumps(resumed) == json.dumps(uninterrupted)


def test_another_network_or_seed_does_not_resume_from_it(model, images, tmp_path):
    given = {"checkpoints": Checkpoints(tmp_path), "identity": {"network": "a"}}
    first, other_network, other_seed, same = [], [], [], []

    measure(model, images, **given, on_progress=first.append)
    measure(model, images, **given | {"identity": {"network": "b"}}, on_progress=other_network.append)
    measure(model, images, **given, seed=1, on_progress=other_seed.append)
    measure(model, images, **given, on_progress=same.append)

    assert first == other_network
    assert other_seed
    assert not same


def test_all_networks_are_attacked_from_the_same_points_and_one_seed_gives_one_mask(images, monkeypatch):
    drawn: dict[str, dict[int, Tensor]] = {}

    def record(name: str):
        def draw(indices, shape, norm, *, seed, restart):
            noise = draw_noise(indices, shape, norm, seed=seed, restart=restart)
            drawn.setdefault(name, {}).update(zip(indices.tolist(), noise, strict=True))
            return noise

        monkeypatch.setattr("lottery_pipeline.robustness.pgd.draw_noise", draw)

    chosen = torch.tensor([3, 30, 8, 21, 15])
    masks = {}
    for name, network, size in (
        ("dense", BentNet(), 2),
        ("ticket", BentNet(seed=1), 5),
        ("again", BentNet(), 2),
    ):
        labelled = ImageSet(images.images, predict(network, images.images / 255))
        record(name)
        found = measure(network, labelled, attacks=("pgd",), indices=chosen, batch_size=size)
        masks[name] = found["least_eps"]

    assert set(drawn["dense"]) == set(drawn["ticket"]) == {3, 8, 15, 21, 30}
    for index, noise in drawn["dense"].items():
        assert torch.equal(noise, drawn["ticket"][index])
    assert masks["dense"] == masks["again"]
    assert masks["dense"] != masks["ticket"]


def test_what_leaves_the_ball_or_the_box_does_not_count_and_is_told(monkeypatch):
    model = LinearNet(2)
    images = draw_images(model, 8)

    def jump(target, _options) -> Outcome:
        """Far across the boundary."""
        direction = (model.weight[1 - target.labels] - model.weight[target.labels]).detach()
        return Outcome(target.images + 0.5 * direction.sign().view_as(target.images), {})

    monkeypatch.setitem(ATTACKS, "fgsm", Attack("", "", "", "white box", finds_distance=False, run=jump))

    found = measure(model, images, attacks=("fgsm",), eps=(0.01, 0.02))

    assert found["least_eps"] == [None] * 8
    assert found["flags"]["unverified"] == 16
