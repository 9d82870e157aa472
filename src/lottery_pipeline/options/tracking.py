"""Options of what is left in MLflow beside the runs themselves."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from lottery_pipeline.options.lists import Group


def _check_registered(name: str) -> str:
    if not re.fullmatch(r"[^/:]{1,250}", name.strip()):
        raise ValueError(
            f"{name!r} is not a valid name of a registered model; "
            "allowed are 1 to 250 characters other than / and :"
        )
    return name.strip()


class TrackingParameters(Group):
    """What is left in MLflow beside the runs themselves.

    Attributes:
        register_as: name of the registered model that gets the winner of the run as a new version.
    """

    # pydantic itself has a method of that name.
    register_as: Annotated[str, AfterValidator(_check_registered)] | None = Field(None, alias="register")
