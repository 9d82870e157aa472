"""Training: recipes, the masked loop, evaluation, checkpoints and the dense run."""
