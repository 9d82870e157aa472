import pytest
import torch

from lottery_pipeline.models.convnet import ConvNet
from lottery_pipeline.ownership.attacks import extraction
from lottery_pipeline.ownership.attacks.extraction import extract_student
from lottery_pipeline.ownership.attacks.training import answer
from lottery_pipeline.ownership.errors import OwnershipError
from lottery_pipeline.training.recipe import Recipe
from tests.ownership.attacks.victims import count_left, draw_victim, weights_of

LONG = Recipe(learning_rate=0.05, epochs=40, batch_size=20)


@pytest.fixture(scope="module")
def victim():
    return draw_victim(recipe=LONG)


@pytest.mark.parametrize("labels", ["hard", "soft"])
def test_the_student_learns_the_answers_of_the_stolen_network(labels, victim):
    student = extract_student(victim, labels=labels, queries=1000)
    train_set = victim.images.train
    with torch.no_grad():
        found = student(train_set.images / 255).argmax(1)
    answers = answer(victim, train_set).argmax(1)
    assert float((found == answers).float().mean()) > 0.9
    assert float((found == train_set.labels).float().mean()) < 0.9  # the victim was never trained


def test_soft_answers_teach_probabilities(victim):
    student = extract_student(victim, labels="soft", queries=1000)
    train_set = victim.images.train
    with torch.no_grad():
        found = student(train_set.images / 255).softmax(1)
    wanted = answer(victim, train_set).softmax(1)
    assert float((found - wanted).abs().mean()) < 0.5 * float((1 / 3 - wanted).abs().mean())


def test_a_sparse_student_has_the_density_of_the_ticket_and_another_mask(victim):
    student = extract_student(victim, labels="hard", queries=1000, sparse=True)
    assert count_left(student, victim) == victim.ticket.kept
    weights = weights_of(student, victim)
    assert not torch.equal(weights["network.fc1.weight"] != 0, victim.ticket.masks["network.fc1.weight"])


def test_the_student_sees_only_the_queries_and_the_answers(victim, monkeypatch):
    seen = []
    monkeypatch.setattr(extraction, "train", lambda _, images, *args, **kwargs: seen.append(images.train))
    extract_student(victim, labels="hard", queries=10)
    [asked] = seen
    assert len(asked) == 10
    assert asked.labels.tolist() == answer(victim, asked).argmax(1).tolist()


def test_another_architecture_can_be_taught():
    student = extract_student(draw_victim(), labels="soft", queries=20, architecture="conv2")
    assert isinstance(student.network, ConvNet)


def test_one_query_is_too_few(victim):
    with pytest.raises(OwnershipError, match="queries must be at least 2, got 1"):
        extract_student(victim, labels="hard", queries=1)
