"""What Concrete Ticket Search (arXiv 2512.07142) asks of a sparse network: seven measures, lower is better.

An objective takes the gated network, gates [D] and a batch, and returns a scalar that autograd can
differentiate with respect to the gates. The teacher of an objective is the dense network at the SAME frozen
weights, mask off, on the same batch and in the same mode: not a trained network. Where several processes
share the batch, the scalar is that of the whole batch, and the gradients of all are to be added up.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor
from torch.overrides import TorchFunctionMode

from lottery_pipeline.options import Objective
from lottery_pipeline.search.gated import GatedNetwork
from lottery_pipeline.tickets.errors import TicketError
from lottery_pipeline.training.reductions import add_up, average

_TINY = 1e-12
_RELUS = frozenset({F.relu, F.relu_, torch.relu, torch.relu_, Tensor.relu, Tensor.relu_})


class Batch(NamedTuple):
    """Inputs as the network expects them [N, C, H, W], and labels [N] if there are any."""

    inputs: Tensor
    labels: Tensor | None


def task_loss(network: GatedNetwork, gates: Tensor, batch: Batch) -> Tensor:
    """Cross-entropy of the sparse network against the labels (CTS-L)."""
    return _cross_entropy(network(batch.inputs, network.weights * gates), batch)


def delta_loss(network: GatedNetwork, gates: Tensor, batch: Batch) -> Tensor:
    """|CE_sparse / CE_dense - 1| on the batch."""
    dense = _cross_entropy(_teach(network, batch), batch)
    return (task_loss(network, gates, batch) / dense - 1).abs()


def gradient_norm(network: GatedNetwork, gates: Tensor, batch: Batch) -> Tensor:
    """Minus the norm of the sparse network's gradient over all its parameters: gradient flow, as in GraSP."""
    weights = network.weights.clone().requires_grad_()
    others = {name: tensor.clone().requires_grad_() for name, tensor in network.others.items()}
    loss = _cross_entropy(network(batch.inputs, weights * gates, others), batch)
    gradients = torch.autograd.grad(
        loss, [weights, *others.values()], create_graph=True, materialize_grads=True
    )
    return -torch.linalg.vector_norm(add_up(torch.cat([gradient.reshape(-1) for gradient in gradients])))


def kl_reverse(network: GatedNetwork, gates: Tensor, batch: Batch) -> Tensor:
    """KL(p_sparse || p_dense) in nats, mean over the batch (CTS-KL, the paper's best)."""
    teacher = _teach(network, batch).log_softmax(1)
    student = network(batch.inputs, network.weights * gates).log_softmax(1)
    return average(F.kl_div(teacher, student, reduction="batchmean", log_target=True), len(batch.inputs))


def kl_forward(network: GatedNetwork, gates: Tensor, batch: Batch) -> Tensor:
    """KL(p_dense || p_sparse) in nats, mean over the batch."""
    teacher = _teach(network, batch).log_softmax(1)
    student = network(batch.inputs, network.weights * gates).log_softmax(1)
    return average(F.kl_div(student, teacher, reduction="batchmean", log_target=True), len(batch.inputs))


def feature_mse(network: GatedNetwork, gates: Tensor, batch: Batch) -> Tensor:
    """Mean over features of the squared distance between sparse and dense, standardised per sample.

    Features are the outputs of every ReLU, and the class probabilities.
    """
    with RecordedRelus() as dense:
        probabilities = _teach(network, batch).softmax(1)
    with RecordedRelus() as sparse:
        logits = network(batch.inputs, network.weights * gates)
    pairs = zip([*dense.outputs, probabilities], [*sparse.outputs, logits.softmax(1)], strict=True)
    distances = [
        F.mse_loss(_standardise(ours.flatten(1)), _standardise(theirs.flatten(1))) for theirs, ours in pairs
    ]
    return average(torch.stack(distances).mean(), len(batch.inputs))


def gradient_matching(network: GatedNetwork, gates: Tensor, batch: Batch) -> Tensor:
    """Mean over layers of the squared distance between standardised weight gradients, sparse and dense."""
    weights = network.weights.clone().requires_grad_()
    (dense,) = torch.autograd.grad(_cross_entropy(network(batch.inputs, weights), batch), weights)
    loss = _cross_entropy(network(batch.inputs, weights * gates), batch)
    (sparse,) = torch.autograd.grad(loss, weights, create_graph=True)
    pairs = zip(network.split(add_up(sparse)).values(), network.split(add_up(dense)).values(), strict=True)
    distances = [
        F.mse_loss(_standardise(ours.reshape(1, -1)), _standardise(theirs.reshape(1, -1)))
        for ours, theirs in pairs
    ]
    return torch.stack(distances).mean()


class RecordedRelus(TorchFunctionMode):
    """A context that keeps the outputs of all ReLUs, both modules and functions."""

    def __init__(self) -> None:
        super().__init__()
        self.outputs: list[Tensor] = []

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Call the function, and keep the output of a ReLU."""
        result = func(*args, **(kwargs or {}))
        if func in _RELUS:
            self.outputs.append(result)
        return result


def _teach(network: GatedNetwork, batch: Batch) -> Tensor:
    """Return the logits of the dense network at the frozen weights."""
    with torch.no_grad():
        return network(batch.inputs, network.weights)


def _cross_entropy(logits: Tensor, batch: Batch) -> Tensor:
    if batch.labels is None:
        free = ", ".join(name for name, kind in OBJECTIVES.items() if not kind.needs_labels)
        raise TicketError(f"this objective needs labels, but there are none; without labels, choose {free}")
    return average(F.cross_entropy(logits, batch.labels), len(batch.labels))


def _standardise(rows: Tensor) -> Tensor:
    """Give every row [N, M] mean 0 and standard deviation 1; a constant row becomes zeros."""
    rows = rows.float() if rows.dtype == torch.bfloat16 else rows
    centred = rows - rows.mean(1, keepdim=True)
    return centred / (centred.square().mean(1, keepdim=True) + _TINY).sqrt()


@dataclass(frozen=True)
class ObjectiveKind:
    """An objective and what belongs to it.

    Attributes:
        measure: the function.
        scale: factor on its gradient; it matters only relative to Adam's epsilon.
        needs_labels: whether it looks at the labels.
    """

    measure: Callable[[GatedNetwork, Tensor, Batch], Tensor]
    scale: float
    needs_labels: bool


OBJECTIVES: dict[Objective, ObjectiveKind] = {
    "task_loss": ObjectiveKind(task_loss, 100.0, True),
    "delta_loss": ObjectiveKind(delta_loss, 10_000.0, True),
    "gradient_norm": ObjectiveKind(gradient_norm, 1.0, True),
    "kl_reverse": ObjectiveKind(kl_reverse, 100.0, False),
    "kl_forward": ObjectiveKind(kl_forward, 100.0, False),
    "feature_mse": ObjectiveKind(feature_mse, 100.0, False),
    "gradient_matching": ObjectiveKind(gradient_matching, 100.0, True),
}
