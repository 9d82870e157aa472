"""CKA (Kornblith et al., ICML 2019): how alike two sets of features of the same samples are.

Linear CKA has two equal forms, of features and of Gram matrices; which is cheaper depends on the shape.
"""

from torch import Tensor

from lottery_pipeline.tickets.errors import TicketError


def cka(first: Tensor, second: Tensor) -> float:
    """Return the linear CKA of features [n, d] and [n, e], by the cheaper of its two forms.

    Args:
        first: a row for each sample.
        second: of the same samples.

    Returns:
        A number in [0, 1]; 1 for features that differ only by rotation and isotropic scaling.

    Raises:
        TicketError: the numbers of samples differ, or features are the same for all samples.
    """
    many = max(first[0].numel(), second[0].numel()) > len(first)
    return gram_cka(first, second) if many else feature_cka(first, second)


def feature_cka(first: Tensor, second: Tensor) -> float:
    """Return ||X^T Y||_F^2 / (||X^T X||_F ||Y^T Y||_F), columns centred; arguments as in ``cka``."""
    x, y = _centre(first, second)
    return _normalise((x.T @ y).norm().square(), (x.T @ x).norm(), (y.T @ y).norm())


def gram_cka(first: Tensor, second: Tensor) -> float:
    """Return <K, L>_F / (||K||_F ||L||_F) for K = X X^T, L = Y Y^T; arguments as in ``cka``.

    Equal to ``feature_cka``; cheaper where there are more features than samples.
    """
    x, y = _centre(first, second)
    k, l = x @ x.T, y @ y.T  # noqa: E741 (the letters of the paper)
    return _normalise((k * l).sum(), k.norm(), l.norm())


def _centre(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    if len(first) != len(second):
        raise TicketError(f"CKA compares the same samples, but got {len(first)} and {len(second)} of them")
    x, y = (features.flatten(1).double() for features in (first, second))
    return x - x.mean(0), y - y.mean(0)


def _normalise(shared: Tensor, first: Tensor, second: Tensor) -> float:
    if float(first) == 0 or float(second) == 0:
        raise TicketError("CKA is not defined for features that are the same for all samples")
    return float(shared / (first * second))
