"""Models: built-in networks, their specification, and which weights can be pruned."""
