"""Options of the report of a sweep."""

from pydantic import Field

from lottery_pipeline.options.lists import Group


class SweepReportOptions(Group):
    """How the report of a sweep judges.

    Attributes:
        margin: xi: by how much a ticket may lose to its own dense parent and still be called winning, a
            fraction.
    """

    margin: float = Field(default=0.01, ge=0, le=1)
