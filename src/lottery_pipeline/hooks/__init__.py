"""Hooks: what happens around the nodes. Requests, preflight, progress and checkpoints."""
