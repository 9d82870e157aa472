"""Robustness evaluation: the dense network and every trained ticket on the same bad images."""
