"""Pipelines: wiring only; nodes build a configuration, call the core and return named outputs."""
