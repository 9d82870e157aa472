"""Images: sources, splits, statistics and the data profile."""
