"""SuperTickets: joint architecture search and pruning of a supernet."""

from lottery_pipeline.methods.supertickets.preconditions import check_supertickets
from lottery_pipeline.methods.supertickets.supertickets import extract_supertickets

__all__ = ["check_supertickets", "extract_supertickets"]
