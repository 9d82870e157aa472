"""Benchmarks: scripts that measure, with their recorded results in results/."""
