"""Layer tickets: residual blocks are ranked and removed."""

from lottery_pipeline.methods.layer.layer import check_layer, extract_layer

__all__ = ["check_layer", "extract_layer"]
