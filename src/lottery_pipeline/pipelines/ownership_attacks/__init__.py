"""Ownership attacks: try to remove the mark of a signed ticket, and the published QR signature beside it."""
