"""Hooks: what happens around the nodes. Requests, preflight, locks, progress and checkpoints."""
