import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from lottery_pipeline.evaluation.retraining import retrain_ticket
from lottery_pipeline.methods.cts.concrete import sample_noise
from lottery_pipeline.methods.cts.cts import ConcreteLearner, extract_cts
from lottery_pipeline.models.registry import build_model
from lottery_pipeline.options import CtsOptions
from lottery_pipeline.reproducibility.fingerprints import fingerprint_tensors
from lottery_pipeline.reproducibility.seeds import make_generator
from lottery_pipeline.search.extraction import Search
from lottery_pipeline.search.gated import GatedNetwork
from lottery_pipeline.sparsity.allocation import DensityError
from lottery_pipeline.sparsity.selection import keep_top_k
from lottery_pipeline.tickets import TicketError
from lottery_pipeline.training.recipe import Recipe
from tests.reference import cts_naive
from tests.tiny import OWN_MODEL, RECIPE, draw_images, pretrain_tiny, spec_for


@pytest.fixture(scope="module")
def images():
    return draw_images()


@pytest.fixture(scope="module")
def dense(images):
    return pretrain_tiny(images)


def extract(images, dense, recipe=RECIPE, *, seed=0, checkpoints=None, on_record=None, **options):
    return extract_cts(
        Search(
            images,
            dense,
            recipe,
            seed=seed,
            device="cpu",
            checkpoints=checkpoints,
            on_record=on_record,
            allow_factory=OWN_MODEL,
        ),
        CtsOptions(**{"density": 0.1, "length": 4, **options}),
    )


def linear_learner(inputs, outputs, options, *, seed=0, steps=300):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = GatedNetwork(nn.Linear(inputs, outputs, bias=False))
    recipe = Recipe(optimiser="adam", learning_rate=0.1, iterations=steps)
    return ConcreteLearner(options, network, recipe, seed)


# T17 --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_a_planted_ticket_is_found_and_its_inversion_misses_it(seed):
    # Of twenty inputs only four are ever on; the sparse output is asked to be the dense one.
    learner = linear_learner(20, 1, CtsOptions(density=0.2), seed=seed)
    generator = torch.Generator().manual_seed(seed)
    planted = torch.zeros(20, dtype=torch.bool)
    planted[torch.randperm(20, generator=generator)[:4]] = True
    learner._network.weights.copy_(torch.randn(20, generator=generator).sign())

    def distance(network, gates, batch):
        dense = network(batch.inputs, network.weights)
        return (network(batch.inputs, network.weights * gates) - dense).square().mean()

    learner._objective = replace(learner._objective, measure=distance)
    for number in range(300):
        inputs = torch.randn(32, 20, generator=generator) * planted
        learner.prepare(number)
        learner.step(inputs, torch.zeros(32, dtype=torch.int64), 0.1)
    assert torch.equal(keep_top_k({"w": learner.scores}, 4)["w"], planted)
    assert not (keep_top_k({"w": -learner.scores}, 4)["w"] & planted).any()


# The step itself --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["tlab", "standard"])
def test_steps_equal_the_naive_twin(form):
    options = CtsOptions(density=0.25, concrete_form=form, objective="kl_reverse")
    learner = linear_learner(3, 2, options, seed=3)
    theta = learner._network.weights.tolist()
    inputs = torch.tensor([[1.0, -0.5, 2.0], [0.3, 1.0, -1.0]])

    def objective(gates):
        total = 0.0
        for row in inputs.tolist():
            student, teacher = (
                [sum(w * x for w, x in zip(weights[i : i + 3], row, strict=True)) for i in (0, 3)]
                for weights in ([g * t for g, t in zip(gates, theta, strict=True)], theta)
            )
            ours, theirs = ([v - math.log(sum(map(math.exp, z))) for v in z] for z in (student, teacher))
            total += sum(math.exp(a) * (a - b) for a, b in zip(ours, theirs, strict=True))
        return total / 2

    logits, multiplier, adam = [-math.log(3)] * 6, None, cts_naive.Adam(6)
    for number in range(8):
        noise = sample_noise(6, make_generator(3, "noise", number))
        uniforms = torch.sigmoid(noise.double()).tolist()
        slopes = cts_naive.objective_gradient(objective, logits, uniforms, 2 / 3, form)
        gradient, multiplier, error = cts_naive.gradbalance(
            logits, [100 * slope for slope in slopes], multiplier, 0.25
        )
        learner.prepare(number)
        row = learner.step(inputs, torch.zeros(2, dtype=torch.int64), 0.1).tolist()
        gates = [cts_naive.gate(a, u, 2 / 3, form) for a, u in zip(logits, uniforms, strict=True)]
        expected = [objective(gates), multiplier, error, sum(map(cts_naive.sigmoid, logits)) / 6]
        assert row[:4] == pytest.approx(expected, rel=1e-3, abs=1e-4)
        logits = adam.move(logits, gradient, 0.1)
        assert learner.scores.tolist() == pytest.approx(logits, abs=2e-3)


def test_scaling_the_objective_changes_no_logit():  # T13
    paths = []
    for scale in (1.0, 1000.0):
        learner = linear_learner(4, 2, CtsOptions(density=0.3, objective="task_loss"))
        learner._objective = replace(learner._objective, scale=1e4 * scale)
        for number in range(20):
            inputs = torch.randn(8, 4, generator=torch.Generator().manual_seed(number))
            learner.prepare(number)
            learner.step(inputs, torch.arange(8) % 2, 0.1)
        paths.append(learner.scores)
    torch.testing.assert_close(*paths, rtol=0, atol=1e-4)


# The search -------------------------------------------------------------------------------------------------


def test_the_trace_has_a_row_per_step_and_begins_without_pressure(images, dense):
    found = extract(images, dense)
    assert [row["step"] for row in found.trace] == list(range(1, 9))  # 40 images, batches of 20, 4 epochs
    first = found.trace[0]
    assert first["multiplier"] == 0
    assert first["sparsity_error"] == pytest.approx(-9.0909, abs=1e-3)
    assert first["expected_density"] == pytest.approx(0.1)
    assert first["positive_logits"] == 0
    assert found.search_epochs == pytest.approx(4 * 4 / 3)  # the teacher is a third of a training step
    assert extract(images, dense, objective="task_loss").search_epochs == 4


def test_the_ticket_keeps_the_highest_logits(images, dense):
    found = extract(images, dense)
    masks = keep_top_k(found.scores, found.ticket.kept)
    assert all(torch.equal(masks[name], mask) for name, mask in found.ticket.masks.items())


@pytest.mark.parametrize("start", ["initial", "rewind"])
def test_the_ticket_starts_where_the_search_stood(images, dense, start):
    found = extract(images, dense, start=start)
    state = getattr(dense, start)
    assert found.ticket.header.rewind_step == (0 if start == "initial" else dense.rewind_step)
    for name, mask in found.ticket.masks.items():
        assert torch.equal(found.ticket.state[name], torch.where(mask, state[name], 0.0))


@pytest.mark.parametrize("batch_size", [5, 20])
def test_a_rewound_ticket_starts_at_its_epoch_whatever_the_batch_size(images, dense, batch_size):
    recipe = RECIPE.replace(batch_size=batch_size)  # the dense run had 10, and its rewind point at epoch 1
    ticket = extract(images, dense, recipe, start="rewind").ticket
    trained = retrain_ticket(ticket, images, recipe, seed=0, device="cpu")
    assert trained.epochs == RECIPE.epochs - 1
    assert trained.history[-1]["step"] == RECIPE.epochs * len(images.train) // batch_size
    assert len(trained.history) == RECIPE.epochs - 1


@pytest.mark.parametrize(("length", "epochs"), [("short", 1), ("half", 4), ("long", 8), (3, 3)])
def test_the_length_is_a_part_of_the_training_or_epochs(images, dense, length, epochs):
    recipe = Recipe(learning_rate=0.1, epochs=8, batch_size=20)
    found = extract(images, dense, recipe, length=length, objective="task_loss")
    assert found.search_epochs == epochs


def test_every_epoch_of_the_search_is_told(images, dense):
    records = []
    extract(images, dense, length=10, on_record=lambda label, row: records.append((label, row["epoch"])))
    assert records == [("search", epoch) for epoch in range(1, 11)]


def test_full_density_needs_no_search(images, dense):
    found = extract(images, dense, density=1.0)
    assert found.ticket.density == 1
    assert (found.search_epochs, found.search_seconds, found.trace, found.scores) == (0, 0, [], None)


def test_a_density_that_keeps_no_weight_is_refused(images, dense):
    with pytest.raises(DensityError, match=r"density 0.001 keeps none of 194 prunable weights"):
        extract(images, dense, density=0.001)


def test_other_images_are_refused(dense):
    with pytest.raises(TicketError, match="trained on other images"):
        extract(draw_images(seed=1), dense)


def test_seeds_differ_and_options_matter(images, dense):
    base = extract(images, dense).scores
    for other in (
        extract(images, dense, seed=1),
        extract(images, dense, concrete_form="standard"),
        extract(images, dense, constraint="lagrange"),
        extract(images, dense, temperature=0.3),
    ):
        assert not all(torch.equal(base[name], other.scores[name]) for name in base)


# T16, T19 ---------------------------------------------------------------------------------------------------


def test_a_resnet_is_searched_without_a_trace_in_its_buffers():
    images = draw_images(side=8, counts=(24, 8, 8))
    recipe = Recipe(learning_rate=0.05, epochs=2, batch_size=12)
    dense = pretrain_tiny(images, "resnet20", recipe)
    before = fingerprint_tensors(dense.rewind)
    found = extract(images, dense, recipe, density=0.02, length=20)
    assert found.ticket.kept == math.floor(0.02 * found.ticket.prunable)
    assert fingerprint_tensors(dense.rewind) == before
    buffers = [name for name in dense.rewind if "running" in name or "num_batches" in name]
    assert len(buffers) == 3 * 21
    assert all(torch.equal(found.ticket.state[name], dense.rewind[name]) for name in buffers)
    assert all(math.isfinite(value) for row in found.trace for value in row.values())
    assert found.trace[-1]["expected_density"] <= 1.3 * 0.02
    model = build_model(spec_for(images, "resnet20"), seed=0)
    assert {name for name, _ in model.named_buffers()} >= set(buffers)
