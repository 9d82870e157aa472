"""Options of filter tickets."""

from typing import Literal

from pydantic import Field

from lottery_pipeline.options.lists import Group
from lottery_pipeline.options.start import Start

Matching = Literal["filters", "macs", "parameters"]
Scope = Literal["inner", "all"]


class FilterOptions(Group):
    """Remove the least important filters from the network, physically.

    Attributes:
        criterion: what a channel is worth: the ``snip`` or ``grasp`` scores of its filter's weights, summed;
            the sum of their magnitudes (``l1``); or a ``random`` number.
        state: weights that are scored: ``initial`` theta_0, ``rewind`` theta_k, ``final`` theta_T.
        start: weights that the ticket starts from: theta_0 or theta_k.
        matching: what must match the layer ticket: the number of ``filters`` (as in the paper), ``macs`` or
            ``parameters``.
        mac_budget: share of the dense network's MACs to leave, as nearly as possible; if given, it replaces
            the layer ticket as the target.
        scope: ``inner`` removes channels inside residual blocks, or between the layers of a plain network;
            ``all`` also removes channels that shortcuts couple over a whole stage (needs torch-pruning).
        min_channels: least number of channels that every layer keeps.
        images_per_class: training images drawn from each class (``snip``, ``grasp``).
        batch_size: images at once, as for SNIP.
        batch_statistics: batch norm normalises by the batch, as for SNIP.
    """

    criterion: Literal["snip", "grasp", "l1", "random"] = "snip"
    state: Literal["initial", "rewind", "final"] = "initial"
    start: Start = "initial"
    matching: Matching = "filters"
    mac_budget: float | None = Field(default=None, gt=0, le=1, strict=True)
    scope: Scope = "inner"
    min_channels: int = Field(default=1, ge=1, strict=True)
    images_per_class: int = Field(default=10, ge=1, strict=True)
    batch_size: int = Field(default=256, ge=2, strict=True)
    batch_statistics: bool = True

    @property
    def needs_match(self) -> bool:
        """Whether another ticket sets the size of this one."""
        return self.mac_budget is None
