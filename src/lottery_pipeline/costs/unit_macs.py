"""MACs of the search units of a supernet: what a search weighs their importance with."""

from torch import nn

from lottery_pipeline.costs.macs import count_macs
from lottery_pipeline.models.supernet.units import find_units


def unit_macs(model: nn.Module, image_shape: tuple[int, int, int]) -> dict[str, int]:
    """Count the multiply-accumulates of each group of search units, for one image.

    SuperTickets (arXiv 2207.03677) divides them by the number of units. Of a kernel group that is the whole
    chain: expand, depthwise, project. Of an attention path it is what grows in proportion to its tokens; what
    grows with their square is in ``count_macs`` under ``<group>.products``.

    Args:
        model: a ``Classifier`` of a supernet; left unchanged; on ``meta`` no arithmetic is done.
        image_shape: channels, height, width.

    Returns:
        MACs by name of the unit group, in the order of ``find_units``.
    """
    macs = count_macs(model, image_shape)
    return {
        group.name: sum(
            count
            for name, count in macs.items()
            if name.startswith(f"{group.name}.") and not name.endswith(".products")
        )
        for group in find_units(model)
    }
