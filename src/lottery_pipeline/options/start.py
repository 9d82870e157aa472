"""Options shared by all methods that find their mask at the start point."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Density = Annotated[float, Field(gt=0, le=1, strict=True)]
Start = Literal["initial", "rewind"]


class StartOptions(BaseModel):
    """Options of every method that finds its mask at the start point.

    Attributes:
        density: kept / prunable, in (0, 1].
        start: ``initial`` is theta_0, ``rewind`` is theta_k: the weights that the search sees and that the
            ticket starts from.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    density: Density
    start: Start = "initial"
