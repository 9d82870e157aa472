"""Seeds: every random stream is derived from the run's one seed and a label."""

import hashlib

import torch


def derive_seed(seed: int, *labels: str | int) -> int:
    """Derive an independent seed, so that no two streams of one run coincide.

    Args:
        seed: the run's seed.
        labels: what the stream is for, e.g. ``("round", 3)``.

    Returns:
        An integer in [0, 2**63).
    """
    text = "/".join([str(seed), *(str(label) for label in labels)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def make_generator(seed: int, *labels: str | int, device: str | torch.device = "cpu") -> torch.Generator:
    """Make a generator seeded with ``derive_seed(seed, *labels)``."""
    return torch.Generator(device=device).manual_seed(derive_seed(seed, *labels))
