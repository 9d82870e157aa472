"""Reproducibility: the same computation gives the same result, also after a kill."""
