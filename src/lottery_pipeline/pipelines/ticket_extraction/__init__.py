"""Ticket extraction: one template (extract, retrain, evaluate) for every method and every composition."""
