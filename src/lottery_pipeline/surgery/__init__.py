"""Surgery: networks made physically smaller, with the same outputs."""
