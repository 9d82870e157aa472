"""Filter tickets: channels are ranked and removed."""

from lottery_pipeline.methods.filter.filter import check_filter, extract_filter

__all__ = ["check_filter", "extract_filter"]
