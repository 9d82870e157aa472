"""SuperTickets: joint architecture search and pruning of a supernet."""

from lottery_pipeline.methods.supertickets.supertickets import check_supertickets, extract_supertickets

__all__ = ["check_supertickets", "extract_supertickets"]
