import torch

from lottery_pipeline.training.parallel import Team
from lottery_pipeline.training.shared_loss import SharedLoss
from lottery_pipeline.training.tasks import TASKS

LABELS = torch.tensor([0, 1, 1])


def test_a_single_part_is_the_whole_batch():
    weight = torch.tensor([2.0], requires_grad=True)
    shared = SharedLoss(Team(0, 1), TASKS["classification"], is_mean=True)

    shared.backward((weight * 5).sum(), LABELS, [weight])
    loss, counts = shared.measure(torch.tensor(10.0), torch.tensor(2), LABELS)

    assert weight.grad.tolist() == [5.0]
    assert loss.tolist() == [10.0]
    assert counts.item() == 2


def test_copies_of_a_batch_share_its_sum():
    weight = torch.tensor([2.0], requires_grad=True)
    shared = SharedLoss(Team(0, 4, replicas=4), TASKS["classification"], is_mean=False)

    shared.backward((weight * 8).sum(), LABELS, [weight])
    loss, counts = shared.measure(torch.tensor(8.0), torch.tensor([4, 8]), LABELS)

    assert weight.grad.tolist() == [2.0]  # of four copies
    assert loss.tolist() == [2.0]
    assert counts.tolist() == [1, 2]


def test_a_batch_without_anything_to_learn_from_has_no_gradient():
    weight = torch.tensor([2.0], requires_grad=True)
    shared = SharedLoss(Team(0, 1), TASKS["segmentation"], is_mean=True)

    shared.backward((weight * 0).sum(), torch.full((2, 4, 4), 255), [weight])

    assert weight.grad.tolist() == [0.0]
