"""What a network's outputs say about its residual blocks: with each block silenced, or block by block.

A block with an identity shortcut behind a ReLU is silenced by gamma = beta = 0 in its last batch norm: it
then passes its input on unchanged, bit for bit, as if it had been removed.
"""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn
from torch.func import functional_call

from lottery_pipeline.methods.layer.cka import cka
from lottery_pipeline.models.head import find_head
from lottery_pipeline.search.scoring import copied_tensors, split_batches
from lottery_pipeline.tickets.errors import TicketError


def last_norm(model: nn.Module, block: str) -> str | None:
    """Return the name of a block's last batch norm (the second; of a bottleneck the third), if it has one."""
    children = model.get_submodule(block).named_children()
    norms = [f"{block}.{name}" for name, child in children if isinstance(child, nn.BatchNorm2d)]
    return norms[-1] if norms else None


def silence(model: nn.Module, block: str) -> dict[str, Tensor]:
    """Return the parameters, by name, that make a block pass its input on.

    Raises:
        TicketError: it has no batch norm, or one without gamma and beta.
    """
    norm = last_norm(model, block)
    found = {} if norm is None else dict(model.get_submodule(norm).named_parameters(prefix=norm))
    if len(found) != 2:
        raise TicketError(
            f"{block} has no batch norm with gamma and beta to silence; choose snip, grasp or expectabs"
        )
    return {name: torch.zeros_like(parameter) for name, parameter in found.items()}


def kl_scores(
    model: nn.Module, blocks: Sequence[str], images: Tensor, *, batch_size: int, by_batch: bool
) -> dict[str, float]:
    """Score blocks by the mean KL(q || p), p of the whole network, q of the network without the block.

    Softmax is taken of logits; the code of later papers takes it of probabilities.

    Args:
        model: pixels in [0, 1] -> logits; stays as it is.
        blocks: names.
        images: [N, C, H, W] on the model's device.
        batch_size: images at once.
        by_batch: batch norm normalises by each micro-batch; else by its running averages.

    Returns:
        Higher = keep; nats.
    """

    def diverge(whole: Tensor, without: Tensor) -> float:
        p, q = whole.log_softmax(1), without.log_softmax(1)
        return float(F.kl_div(p, q, reduction="batchmean", log_target=True))

    return _compare(model, blocks, images, None, diverge, batch_size=batch_size, by_batch=by_batch)


def cka_scores(
    model: nn.Module, blocks: Sequence[str], images: Tensor, *, batch_size: int, by_batch: bool
) -> dict[str, float]:
    """Score blocks by 1 - CKA of the features before the classifier, with and without the block.

    From arXiv 2405.17081, but not its variant that compares a block's input and output. Otherwise as
    ``kl_scores``.

    Raises:
        ModelError: the network does not end in a linear layer, so it has no features.
        TicketError: the features are the same for all images.
    """
    head = find_head(model, images[:2])

    def differ(whole: Tensor, without: Tensor) -> float:
        return 1 - cka(whole, without)

    return _compare(model, blocks, images, head, differ, batch_size=batch_size, by_batch=by_batch)


def expectabs_scores(
    model: nn.Module, blocks: Sequence[str], images: Tensor, *, batch_size: int, by_batch: bool
) -> dict[str, float]:
    """Score blocks by the mean of relu(output) over images, positions, channels; rest as in ``kl_scores``."""

    def measure(maps: Tensor) -> Tensor:
        return maps.mean((1, 2, 3))

    return _average(model, blocks, images, measure, batch_size=batch_size, by_batch=by_batch)


def hrank_scores(
    model: nn.Module, blocks: Sequence[str], images: Tensor, *, batch_size: int, by_batch: bool
) -> dict[str, float]:
    """Score blocks by the mean rank of the maps of relu(output), over their longer side.

    Slow: a singular value decomposition for each image and channel. Arguments as in ``kl_scores``.
    """

    def measure(maps: Tensor) -> Tensor:
        # On the CPU, so that the tolerance by which a rank is counted is the same everywhere.
        return torch.linalg.matrix_rank(maps.cpu()).double().mean(1) / max(maps.shape[2:])

    return _average(model, blocks, images, measure, batch_size=batch_size, by_batch=by_batch)


def _compare(
    model: nn.Module,
    blocks: Sequence[str],
    images: Tensor,
    head: str | None,
    compare: Callable[[Tensor, Tensor], float],
    *,
    batch_size: int,
    by_batch: bool,
) -> dict[str, float]:
    """Compare what the head reads, or the logits if there is no head, with and without each block."""
    read: list[Tensor] = []
    watched = model if head is None else model.get_submodule(head)
    handle = watched.register_forward_pre_hook(lambda _, inputs: read.append(inputs[0].flatten(1)))
    try:
        with copied_tensors(model, None, (), by_batch=by_batch) as (weights, others), torch.no_grad():

            def run(changes: dict[str, Tensor]) -> Tensor:
                read.clear()
                tensors = {**weights, **others, **changes}
                logits = [
                    functional_call(model, tensors, (part,)) for part in split_batches(images, batch_size)
                ]
                found = torch.cat(logits if head is None else read)
                # The networks compared are nearly equal, hence float64, which mps does not have.
                return (found.cpu() if found.device.type == "mps" else found).double()

            whole = run({})
            return {block: compare(whole, run(silence(model, block))) for block in blocks}
    finally:
        handle.remove()


def _average(
    model: nn.Module,
    blocks: Sequence[str],
    images: Tensor,
    measure: Callable[[Tensor], Tensor],
    *,
    batch_size: int,
    by_batch: bool,
) -> dict[str, float]:
    sums: dict[str, list[Tensor]] = {block: [] for block in blocks}

    def watch(block: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        def add(_module: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> None:
            sums[block].append(measure(output.relu()).sum())

        return add

    handles = [model.get_submodule(block).register_forward_hook(watch(block)) for block in blocks]
    try:
        with copied_tensors(model, None, (), by_batch=by_batch) as (weights, others), torch.no_grad():
            for part in split_batches(images, batch_size):
                functional_call(model, {**weights, **others}, (part,))
    finally:
        for handle in handles:
            handle.remove()
    # Read at the end: until then nothing waits for the device.
    totals = {block: torch.stack(parts).tolist() if parts else [] for block, parts in sums.items()}
    return {block: sum(parts, 0.0) / len(images) for block, parts in totals.items()}
