"""Composition: methods that start from another method's ticket (``layer_cts``: CTS in a layer ticket)."""
