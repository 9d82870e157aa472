"""Evaluation: what a found ticket is worth. Retraining, metrics, price, controls and sanity checks."""
