"""Records as the pipeline writes them, small and literal, with numbers a run on digits could give."""

from typing import Any

from lottery_pipeline.reproducibility.measured import set_apart
from lottery_pipeline.training.history import CLOCK_COLUMNS

D = 67_000
LAYERS = {
    "network.conv1.weight": (16, 1, 3, 3),
    "network.conv2.weight": (32, 16, 3, 3),
    "network.fc.weight": (10, 6225),
}
ACCURACIES = {"ltr": [0.981, 0.983, 0.98, 0.978, 0.975], "lth": [0.981, 0.98, 0.974, 0.962, 0.941]}


def make_metrics(method: str = "ltr", **changes: Any) -> dict[str, Any]:
    """The metrics of one method at density 0.1."""
    sizes = {layer: _product(shape) for layer, shape in LAYERS.items()}
    record = {
        "method": method,
        "seed": 0,
        "density": 0.1,
        "kept": 6_700,
        "prunable": D,
        "dense_accuracy": 0.981,
        "test_accuracy": ACCURACIES.get(method, [0.95])[-1],
        "accuracy_delta": ACCURACIES.get(method, [0.95])[-1] - 0.981,
        "test_loss": 0.081,
        "validation_accuracy": {"lth": 0.94}.get(method, 0.98),
        "early_stop_step": 420,
        "search_epochs": 120.0,
        "train_epochs": 28.5,
        "search_seconds": 75.2,
        "train_seconds": 14.1,
        "macs_dense": 1_234_000,
        "macs_theoretical": 321_000,
        "macs_executed": 1_234_000,
        "ticket_bytes": 36_120,
        "dead_layers": [],
        "layers": [
            {
                "layer": layer,
                "shape": list(LAYERS[layer]),
                "prunable": size,
                "kept": size // 10,
                "density": 0.1,
            }
            for layer, size in sizes.items()
        ],
        "classes": [
            {"class": name, "images": 180, "recall": 0.9, "precision": 0.9} for name in ("zero", "one")
        ],
        "fingerprint": f"{method:x<64}",
        "dense_fingerprint": "d" * 64,
    }
    return set_apart(record | changes, ("search_seconds", "train_seconds", "latency", "speedup_128"))


def make_ladder(method: str = "ltr") -> list[dict[str, Any]]:
    """Rungs at densities 1, 0.56, 0.32, 0.18 and 0.1."""
    return [
        {
            "rung": rung,
            "density": density,
            "kept": int(density * D),
            "prunable": D,
            "test_accuracy": ACCURACIES[method][rung],
            "validation_accuracy": ACCURACIES[method][rung] - 0.004,
            "early_stop_step": 400 + rung,
            "early_stop_validation_loss": 0.07,
            "epochs": 28.5,
            "seconds": 14.0,
        }
        for rung, density in enumerate((1.0, 0.56, 0.32, 0.18, 0.1))
    ]


def make_controls(method: str = "ltr") -> list[dict[str, Any]]:
    """Both controls at rungs 2 and 4."""
    return [
        {
            "control": kind,
            "rung": rung,
            "density": density,
            "kept": int(density * D),
            "test_accuracy": accuracy,
            "validation_accuracy": accuracy,
            "epochs": 28.5,
            "seconds": 14.0,
            "early_stop_step": 430,
            "seed": 0,
        }
        for kind, rung, density, accuracy in (
            ("random_mask", 2, 0.32, 0.962),
            ("random_mask", 4, 0.1, 0.905),
            ("reinitialise", 2, 0.32, 0.966),
            ("reinitialise", 4, 0.1, 0.927),
        )
    ]


def make_history(*, first_epoch: int = 1, validation: bool = True) -> list[dict[str, Any]]:
    """Three epochs."""
    return [
        {
            "epoch": epoch,
            "step": 10 * epoch,
            "train_loss": 1.0 / epoch,
            "train_accuracy": 1 - 0.3 / epoch,
            "validation_loss": 1.1 / epoch if validation else None,
            "validation_accuracy": 1 - 0.35 / epoch if validation else None,
            "learning_rate": 0.1,
            "seconds": 0.5,
            "images_per_second": 9_000.0,
        }
        for epoch in range(first_epoch, first_epoch + 3)
    ]


def make_dense_metrics(**changes: Any) -> dict[str, Any]:
    """The metrics of the dense run."""
    record = {
        "test_accuracy": 0.981,
        "test_loss": 0.07,
        "validation_accuracy": 0.985,
        "seconds": 15.0,
        "epochs": 30.0,
        "early_stop_step": 410,
        "prunable": D,
        "fingerprint": "d" * 64,
    }
    return set_apart(record | changes, CLOCK_COLUMNS)


def make_superticket(**changes: Any) -> dict[str, Any]:
    """The metrics of a SuperTicket: as many weights as the others, of a smaller network, so denser."""
    record: dict[str, Any] = {
        "model": "supernet",
        "metric": "accuracy",
        "prunable": 20_000,
        "density": 6_700 / 20_000,
        "dense_accuracy": 0.99,
        "test_accuracy": 0.98,
        "accuracy_delta": -0.01,
        "found_accuracy": 0.71,
        "validation_accuracy": 0.979,
        "macs_dense": 400_000,
        "macs_theoretical": 90_000,
        "macs_executed": 240_000,
        "dense_fingerprint": "5" * 64,
    }
    return make_metrics("supertickets", **(record | changes))


def make_blocks() -> list[dict[str, Any]]:
    """The blocks of a supernet of two stages: one has vanished, one has lost a kernel and half its tokens."""
    kept = {
        "stages.s1.fuse.from1_to1": ("3 5", "4 2", 4),
        "stages.s1.branch1.block1": ("3", "1", 2),
        "stages.s2.fuse.from1_to1": ("3 5", "4 4", 4),
        "stages.s2.fuse.from1_to2": ("5", "1", 0),
        "stages.s2.branch1.block1": ("3 5", "4 4", 4),
        "stages.s2.branch2.block1": ("", "", 0),
        "head.widen1": ("3 5", "4 4", 0),
        "head.widen2": ("3 5", "2 2", 0),
        "head.from1_to2": ("3 5", "4 3", 0),
    }
    rows = [_block(name, *left) for name, left in kept.items()]
    others = {"block": "stem and classifier", "kind": "others", "macs": 900, "supernet_macs": 900}
    return [
        *rows,
        {**dict.fromkeys(rows[0]), **others, "kept": 40, "prunable": 100, "density": 0.4},
    ]


def make_trace() -> list[dict[str, Any]]:
    """Four epochs: nothing, a search that removes nothing, a prune event, and the last event: all at once."""
    events = [
        ("", 72, 20, 400_000, 400_000, 1.0, 0.5),
        ("search", 72, 20, 400_000, 400_000, 1.0, 0.9),
        ("prune", 72, 20, 400_000, 200_000, 0.5, 0.8),
        ("search, shrink, prune", 43, 14, 240_000, 90_000, 0.335, 0.7),
    ]
    return [
        {
            **make_history(first_epoch=epoch)[0],
            "validation_accuracy": accuracy,
            "units": units,
            "tokens": tokens,
            "macs": macs,
            "macs_theoretical": exact,
            "parameters": 21_000,
            "kept": round(density * 20_000),
            "density": density,
            "rho": 0.01,
            "average_accuracy": accuracy + 0.05 if "search" in event else None,
            "event": event,
        }
        for epoch, (event, units, tokens, macs, exact, density, accuracy) in enumerate(events, 1)
    ]


def _block(name: str, kernels: str, hidden: str, tokens: int) -> dict[str, Any]:
    stride = 2 if name.endswith("from1_to2") else 1
    size = "4x4" if name.endswith(("to2", "branch2.block1", "widen2")) else "8x8"
    attends = not name.startswith("head") and stride == 1
    left = sum(int(width) for width in hidden.split())
    return {
        "block": name,
        "kind": "head" if name.startswith("head") else "fuse" if "fuse" in name else "branch",
        "channels_in": 2,
        "channels_out": 2,
        "stride": stride,
        "size": size,
        "kernels": kernels,
        "hidden": hidden,
        "tokens": tokens,
        "macs": 100 * left,
        "kept": left,
        "prunable": 10 * left,
        "density": 0.1 if left else 0.0,
        "supernet_kernels": "3 5",
        "supernet_hidden": "4 4",
        "supernet_tokens": 4 if attends else 0,
        "supernet_macs": 800,
    }


def _product(shape: tuple[int, ...]) -> int:
    size = 1
    for length in shape:
        size *= length
    return size
