"""Sweeps: many runs from one grid, on one machine or on a cluster; ``kedro sweep`` is the command."""
