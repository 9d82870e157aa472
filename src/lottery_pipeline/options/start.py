"""Options shared by all methods that find their mask at the start point."""

from typing import Annotated, Literal

from pydantic import Field

from lottery_pipeline.options.lists import Group

Density = Annotated[float, Field(gt=0, le=1, strict=True)]
Start = Literal["initial", "rewind"]


class StartOptions(Group):
    """Options of every method that finds its mask at the start point.

    Attributes:
        density: kept / prunable, in (0, 1].
        start: ``initial`` is theta_0, ``rewind`` is theta_k: the weights that the search sees and that the
            ticket starts from.
    """

    density: Density
    start: Start = "initial"
