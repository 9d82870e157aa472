"""Sweeps as files: a plan, and what points have left, with made-up numbers."""

import json
import random
from collections.abc import Sequence
from itertools import product
from math import log
from pathlib import Path
from typing import Any

PRUNABLE = 10_000


def make_point(key: str, experiment: str = "base", **axes: Any) -> dict[str, Any]:
    """A point of a plan."""
    return {
        "key": key,
        "experiment": experiment,
        "variant": f"methods.{key}",
        "pipelines": [axes.get("pipelines", "cts")],
        "axes": axes,
        "parameters": {},
        "shared": "",
        "fingerprint": "a" * 64,
        "epochs": {"search": 17.3, "train": 11.0},
    }


def make_row(**values: Any) -> dict[str, Any]:
    """A result of a ticket."""
    row: dict[str, Any] = {
        "kind": "ticket",
        "method": "cts",
        "rung": None,
        "seed": 0,
        "density": 0.018,
        "kept": 180,
        "prunable": PRUNABLE,
        "dense_accuracy": 0.97,
        "test_accuracy": 0.96,
        "validation_accuracy": 0.95,
        "metric": "accuracy",
        "search_epochs": 17.0,
        "train_epochs": 11.0,
        "search_seconds": 30.0,
        "train_seconds": 20.0,
    }
    row |= values
    known = row["test_accuracy"] is not None and row["dense_accuracy"] is not None
    return row | {"accuracy_delta": row["test_accuracy"] - row["dense_accuracy"] if known else None}


def make_sweep(points: Sequence[dict[str, Any]], files: Sequence[dict[str, Any] | None]) -> dict[str, Any]:
    """A sweep as its dataset reads it."""
    absent = {"state": "missing", "error": "", "attempts": 0, "seconds": None, "rows": []}
    read = [point | absent | (file or {}) for point, file in zip(points, files, strict=True)]
    return {"plan": make_plan([])["plan"], "points": read}


def make_plan(points: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What stands in the file of a plan, under ``plan``."""
    return {
        "plan": {
            "format": 1,
            "sweep": "methods",
            "experiment": "base",
            "title": "",
            "version": "1.0.0",
            "tracking": "off",
            "run": "",
            "points": list(points),
        }
    }


def write_sweep(
    folder: Path,
    points: Sequence[dict[str, Any]],
    files: Sequence[dict[str, Any] | None],
    experiment: str = "base",
) -> None:
    """Write a plan and the files of its points; ``folder`` is the layer 07_model_output."""
    plan = folder / experiment / "methods/sweep.json"
    plan.parent.mkdir(parents=True, exist_ok=True)
    plan.write_text(json.dumps(make_plan(points)["plan"] | {"experiment": experiment}))
    for point, file in zip(points, files, strict=True):
        if file is not None:
            path = folder / point["experiment"] / point["variant"] / "point.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            known = {
                "format": 1,
                "sweep": "methods",
                "key": point["key"],
                "fingerprint": point["fingerprint"],
            }
            path.write_text(json.dumps(known | file))


METHODS = {"ltr": (0.004, 120.0), "cts": (-0.002, 17.0), "snip": (-0.012, 1.0), "random": (-0.05, 0.0)}


def make_study(
    *,
    methods: Sequence[str] = tuple(METHODS),
    densities: Sequence[float] = (0.2, 0.07, 0.018, 0.0074),
    seeds: int = 5,
    experiments: Sequence[str] = ("base",),
    ladder: bool = True,
    **axes: Sequence[Any],
) -> tuple[list[dict[str, Any]], list[dict[str, Any] | None]]:
    """Points and files of a grid, all of them done; accuracies fall with the density as methods differ."""
    generator = random.Random(0)
    dense = {pair: round(generator.gauss(0.97, 0.004), 4) for pair in product(experiments, range(seeds))}
    points: list[dict[str, Any]] = []
    files: list[dict[str, Any] | None] = []
    for experiment, seed, method, density, *values in product(
        experiments, range(seeds), methods, densities, *axes.values()
    ):
        kept = int(density * PRUNABLE)
        ahead, search = METHODS[method]
        ahead -= 0.004 * sum(list(axes[name]).index(value) for name, value in zip(axes, values, strict=True))
        parent = dense[experiment, seed]
        rows = [
            make_row(
                method=method,
                seed=seed,
                density=kept / PRUNABLE,
                kept=kept,
                dense_accuracy=parent,
                test_accuracy=_score(generator, parent + ahead, kept),
                validation_accuracy=_score(generator, parent + ahead, kept),
                search_epochs=11.0 * round(-4.5 * log(density)) if method == "ltr" else search,
            )
        ]
        if ladder and method == "ltr":
            rows += _make_rungs(generator, parent + ahead, kept)
        key = "-".join(map(str, (method, density, f"s{seed}", *values, experiment)))
        named = dict(zip(axes, values, strict=True))
        points.append(make_point(key, experiment, pipelines=method, density=density, seed=seed, **named))
        files.append({"state": "done", "seconds": 50.0, "rows": rows, "attempts": 1})
    return points, files


def _make_rungs(generator: random.Random, level: float, least: int) -> list[dict[str, Any]]:
    sizes = [PRUNABLE]
    while sizes[-1] * 0.67 > 1.1 * least:
        sizes.append(int(sizes[-1] * 0.67))
    return [
        {
            "kind": "rung",
            "method": "ltr",
            "rung": rung,
            "density": kept / PRUNABLE,
            "kept": kept,
            "prunable": PRUNABLE,
            "test_accuracy": _score(generator, level, kept),
        }
        for rung, kept in enumerate(sizes)
    ]


def _score(generator: random.Random, level: float, kept: int) -> float:
    return round(min(1.0, generator.gauss(level - 3 / kept, 0.004)), 4)
