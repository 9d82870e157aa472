"""Ticket extraction: one template (extract, retrain, evaluate), instantiated once for each method."""
