"""Iterative magnitude pruning: LTH resets to theta_0, LTR rewinds to theta_k."""

from lottery_pipeline.methods.imp.imp import check_lth, check_ltr, extract_lth, extract_ltr

__all__ = ["check_lth", "check_ltr", "extract_lth", "extract_ltr"]
