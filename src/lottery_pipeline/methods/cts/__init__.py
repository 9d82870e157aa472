"""Concrete Ticket Search, its gates, its objectives and how it holds the density."""

from lottery_pipeline.methods.cts.cts import check_cts, extract_cts

__all__ = ["check_cts", "extract_cts"]
