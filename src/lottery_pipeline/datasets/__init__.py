"""Kedro datasets: tickets, weights, images, records and figures, written atomically."""
