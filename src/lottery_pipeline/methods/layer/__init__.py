"""Layer tickets: residual blocks are ranked and removed."""

from lottery_pipeline.methods.layer.layer import extract_layer

__all__ = ["extract_layer"]
