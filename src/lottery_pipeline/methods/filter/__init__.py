"""Filter tickets: channels are ranked and removed."""

from lottery_pipeline.methods.filter.filter import extract_filter

__all__ = ["extract_filter"]
