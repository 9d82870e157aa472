"""Weights that a user brings: read from a file, and fitted to the network that they become theta_0 of."""
