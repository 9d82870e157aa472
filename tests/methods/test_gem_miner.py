import pytest
import torch
from torch import nn

from lottery_pipeline.methods.gem_miner import GemLearner, extract_gem_miner
from lottery_pipeline.options import GemMinerOptions
from lottery_pipeline.reproducibility.checkpoints import Checkpoints
from lottery_pipeline.search.extraction import Search
from lottery_pipeline.search.gated import GatedNetwork
from lottery_pipeline.training.recipe import Recipe
from tests.tiny import OWN_MODEL, RECIPE, draw_images, pretrain_tiny


@pytest.fixture(scope="module")
def images():
    return draw_images()


@pytest.fixture(scope="module")
def dense(images):
    return pretrain_tiny(images)


def extract(images, dense, *, checkpoints=None, **options):
    return extract_gem_miner(
        Search(images, dense, RECIPE, seed=0, device="cpu", checkpoints=checkpoints, allow_factory=OWN_MODEL),
        GemMinerOptions(**{"density": 0.25, "length": 20, **options}),
    )


def make_learner(*, density=0.25, epochs=20, size=8):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = GatedNetwork(nn.Linear(size, 2, bias=False))
    recipe = Recipe(learning_rate=0.1, epochs=epochs, batch_size=20)
    return GemLearner(GemMinerOptions(density=density), 40, network, recipe, 0)  # 2 steps an epoch


def test_weights_are_dropped_every_five_epochs_down_to_the_density(images, dense):
    trace = extract(images, dense).trace
    alive = [int(row["alive"]) for row in trace]
    # 194 * 0.25 ** (n / 4): the fourth pruning is the selection of the ticket
    assert alive == [194] * 10 + [137] * 10 + [97] * 10 + [68] * 10
    assert extract(images, dense).ticket.kept == 48


def test_a_gate_is_the_rounded_probability_of_a_weight_that_is_alive():
    learner = make_learner()
    learner._alive[:4] = False
    probabilities = torch.linspace(0, 1, 16).requires_grad_()
    gates = learner._round(probabilities)
    assert gates.tolist() == [0.0] * 8 + [1.0] * 8
    (slope,) = torch.autograd.grad(gates.sum(), probabilities)
    assert slope.tolist() == [0.0] * 4 + [1.0] * 12


def test_what_was_dropped_stays_dropped_and_ranks_below_what_lived_on():
    learner = make_learner()
    inputs, labels = torch.randn(20, 8, generator=torch.Generator().manual_seed(1)), torch.arange(20) % 2
    dropped = torch.zeros(16, dtype=torch.bool)
    for number in range(40):
        learner.prepare(number)
        learner.step(inputs, labels, 0.1)
        assert not (dropped & learner._alive).any()
        assert bool(((learner._learner.learnt >= 0) & (learner._learner.learnt <= 1)).all())
        dropped = ~learner._alive
    assert int(dropped.sum()) == 16 - 5  # floor(16 * 0.25 ** (3 / 4))
    assert learner.scores[dropped].max() < learner.scores[~dropped].min()


def test_a_short_search_drops_once_at_its_end(images, dense):
    found = extract(images, dense, length=3)
    assert {row["alive"] for row in found.trace} == {194}
    assert found.ticket.kept == 48


def test_the_state_of_a_learner_can_be_taken_up_by_another():
    first, second = make_learner(), make_learner()
    inputs, labels = torch.ones(20, 8), torch.arange(20) % 2
    for number in range(15):
        first.prepare(number)
        first.step(inputs, labels, 0.1)
    second.load({name: tensor.clone() for name, tensor in first.tensors().items()})
    for learner in (first, second):
        for number in range(15, 25):
            learner.prepare(number)
            learner.step(inputs, labels, 0.1)
    assert torch.equal(first.scores, second.scores)


def test_a_finished_search_is_taken_from_its_checkpoint(images, dense, tmp_path):
    whole = extract(images, dense, checkpoints=Checkpoints(tmp_path))
    again = extract(images, dense, checkpoints=Checkpoints(tmp_path))
    assert again.ticket.to_bytes() == whole.ticket.to_bytes()
    assert again.search_seconds == whole.search_seconds
