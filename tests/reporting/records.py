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
        "validation_accuracy": 0.98,
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


def _product(shape: tuple[int, ...]) -> int:
    size = 1
    for length in shape:
        size *= length
    return size
