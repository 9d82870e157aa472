"""Sweep report: what the points of a sweep show together, from their files."""
