"""Costs: what a network and its ticket take to run."""
