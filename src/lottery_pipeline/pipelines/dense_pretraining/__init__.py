"""Dense pretraining: one training of the full network, the parent of every ticket."""
