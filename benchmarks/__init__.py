"""Benchmarks: a folder for each study, with its recorded results beside its scripts."""
