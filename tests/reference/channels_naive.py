"""Naive twin of channel removal: closed forms of a CIFAR ResNet, and a walk over every number of removals."""

from collections.abc import Sequence


def cifar_resnet_sizes(
    widths: Sequence[int], *, side: int = 32, channels: int = 3, classes: int = 10
) -> dict[str, int]:
    """Return filters, MACs and parameters of a CIFAR ResNet.

    Args:
        widths: inner channels of every block; three equal stages.
        side: of the images.
        channels: of the images.
        classes: number of logits.
    """
    filters, macs, parameters = 16, side**2 * 16 * channels * 9, 16 * channels * 9 + 32
    before = 16
    for index, inner in enumerate(widths):
        stage, place = divmod(index, len(widths) // 3)
        outer, pixels = 16 << stage, (-(-side // 2**stage)) ** 2
        filters += inner + outer
        macs += pixels * 9 * (before * inner + inner * outer)
        parameters += 9 * (before * inner + inner * outer) + 2 * inner + 2 * outer
        if place == 0 and stage > 0:
            filters, macs = filters + outer, macs + pixels * before * outer
            parameters += before * outer + 2 * outer
        before = outer
    return {
        "filters": filters,
        "macs": macs + 64 * classes,
        "parameters": parameters + 64 * classes + classes,
    }


def nearest_naive(sizes: Sequence[int], target: int) -> int:
    """Return the first place of the size nearest to a target."""
    differences = [abs(size - target) for size in sizes]
    return differences.index(min(differences))
