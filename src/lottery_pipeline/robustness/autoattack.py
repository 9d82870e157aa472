"""AutoAttack (Croce & Hein, arXiv 2003.01690) through the package pyautoattack, and what it warns of."""

import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from lottery_pipeline.options.extras import check_extra
from lottery_pipeline.options.robustness import AutoAttackOptions, AutoAttackPart, Norm
from lottery_pipeline.robustness.gradients import weights_frozen
from lottery_pipeline.robustness.threat import Threat
from lottery_pipeline.training.device import seeded

PACKAGE, EXTRA = "pyautoattack", "robust"
# What its warnings say, by a part of their text.
_WARNINGS = {
    "randomised": "randomized defense",
    "looks_like_probabilities": "probability distribution",
    "zero_gradients": "zero gradient",
    "dynamic": "dynamic defense",
    "black_box_stronger": "Square Attack has decreased",
}
_LEAST_CLASSES: dict[AutoAttackPart, int] = {"apgd-ce": 2, "apgd-t": 4, "fab-t": 2, "square": 2}

logger = logging.getLogger(__name__)


def find_obstacle(part: AutoAttackPart, norm: Norm, *, classes: int, size: Sequence[int]) -> str | None:
    """Say why a part cannot run; None if it can.

    Args:
        part: of AutoAttack.
        norm: of the threat.
        classes: of the network. The targeted loss divides by a logit that the fourth class supplies.
        size: height and width of the images. Square tiles them in L2, and its tiles do not fit every size.
    """
    least = _LEAST_CLASSES[part]
    if classes < least:
        return f"it needs {least} classes"
    tile, edge = size[0] // 5, size[0] % 5 // 2
    fits = tile == 1 or (tile and all(edge + side // tile * tile <= side for side in size))
    if part == "square" and norm == "L2" and not fits:
        return f"it cannot tile images of {size[0]} x {size[1]} pixels in L2"
    return None


def autoattack(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    threat: Threat,
    *,
    options: AutoAttackOptions,
    seed: int,
) -> tuple[Tensor, dict[str, bool]]:
    """Run parts of AutoAttack as a cascade on one batch.

    All four parts with the default budgets are its version ``standard``. Parts that cannot run on so few
    classes or on images of this size are left out (``find_obstacle``), and there are never more target
    classes than other classes. Its check for dynamic defences removes the trace function of debuggers and
    coverage; here it is restored.

    Args:
        model: pixels in [0, 1] -> logits, in evaluation mode.
        images: float32 ``[N, C, H, W]`` in [0, 1].
        labels: int64 ``[N]``.
        threat: how far an image may move; at eps 0 nothing is run.
        options: parts and budgets.
        seed: of everything drawn; the state of the default generators is restored.

    Returns:
        Adversarial images, the clean ones where no part has succeeded, and what AutoAttack has warned of:
        ``randomised``, ``looks_like_probabilities``, ``zero_gradients``, ``dynamic`` and
        ``black_box_stronger`` (Square fooled what the parts before it had not).

    Raises:
        ValueError: the package is not installed.
    """
    check_extra(PACKAGE, EXTRA)
    from pyautoattack import AutoAttack, checks

    with torch.no_grad():
        classes = model(images[:2]).shape[1]  # batch norm without statistics may need two
    parts = [
        part
        for part in options.parts
        if not find_obstacle(part, threat.norm, classes=classes, size=images.shape[2:])
    ]
    if not parts or threat.eps == 0:
        return images.clone(), dict.fromkeys(_WARNINGS, False)
    # The package counts suspicious calls for the whole process; another network's must not count here.
    checks.funcs.update(dict.fromkeys(checks.funcs, 0))
    adversary = AutoAttack(
        model,
        attacks=parts,
        device=images.device,
        eps=threat.eps,
        norm=threat.norm,
        seed=seed,
        version="custom",
    )
    targets, iterations = min(options.target_classes, classes - 1), options.iterations
    for apgd in (adversary.apgd, adversary.apgd_targeted):
        apgd.n_iter, apgd.n_restarts = iterations, 1
        # When the step is halved; the package works these out only when it is made.
        apgd.n_iter_2 = max(int(0.22 * iterations), 1)
        apgd.n_iter_min = max(int(0.06 * iterations), 1)
        apgd.size_decr = max(int(0.03 * iterations), 1)
    adversary.fab.n_iter, adversary.square.n_queries = iterations, options.queries
    adversary.apgd_targeted.n_target_classes = adversary.fab.n_target_classes = targets
    # The package views gradients as rows, which channels-last memory does not allow.
    rows = images.contiguous(memory_format=torch.contiguous_format)
    with weights_frozen(model), seeded(images.device, seed), _tracing_kept(), _warnings_kept() as texts:
        adversarial, _ = adversary.run_standard_evaluation(rows, labels, batch_size=len(rows))
    return adversarial.detach(), _read_warnings(texts)


def _read_warnings(texts: Sequence[str]) -> dict[str, bool]:
    for text in texts:
        if not any(part in text for part in _WARNINGS.values()):
            logger.warning("AutoAttack: %s", text)
    return {name: any(part in text for text in texts) for name, part in _WARNINGS.items()}


@contextmanager
def _tracing_kept() -> Iterator[None]:
    trace = sys.gettrace()
    try:
        yield
    finally:
        sys.settrace(trace)


@contextmanager
def _warnings_kept() -> Iterator[list[str]]:
    """Collect the warnings of the package in place of printing them."""
    texts: list[str] = []

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            texts.append(record.getMessage())

    source, collector = logging.getLogger("auto-attack"), Collector(logging.WARNING)
    propagated, source.propagate = source.propagate, False
    source.addHandler(collector)
    try:
        yield texts
    finally:
        source.removeHandler(collector)
        source.propagate = propagated
