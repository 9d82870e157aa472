"""Signature embedding: commit to a ticket, mark it, train it, publish it, read the mark back."""
