"""Sanity checks: changes of a ticket that must hurt it, judged over seeds."""
