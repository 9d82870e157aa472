"""Records of the robustness evaluation: a tiny literal one, and a realistic one of ten networks."""

import math
from typing import Any

from lottery_pipeline.robustness.rows import make_row

Record = dict[str, Any]
CORRUPTIONS = (
    *("gaussian_noise", "shot_noise", "impulse_noise", "defocus_blur", "glass_blur", "motion_blur"),
    *("zoom_blur", "fog", "brightness", "contrast", "elastic_transform", "pixelate", "jpeg_compression"),
)
# Clean accuracy, how fast attacks win, how much corruptions cost: made up.
NETWORKS = {
    "dense": (0.975, 1.0, 1.0),
    "cts": (0.969, 1.1, 1.1),
    "gem_miner": (0.95, 1.3, 1.3),
    "layer_cts": (0.958, 1.2, 1.2),
    "ltr": (0.972, 0.95, 1.0),
    "magnitude": (0.97, 1.15, 1.25),
    "random": (0.931, 1.6, 1.6),
    "signature_embedding": (0.971, 0.96, 1.0),
    "snip": (0.952, 1.4, 1.35),
    "supertickets_dense": (0.981, 0.9, 0.9),
    "supertickets": (0.978, 0.92, 0.95),
}
METRICS = ("aupr_ood_positive", "aupr_id_positive", "fpr95_ood_positive", "fpr95_id_positive")
FULL_EPS = (0.25, 0.5, 1, 2, 4, 8, 16, 32, 64)


def name_network(method: str, density: float = 0.1, reference: str = "dense") -> Record:
    return {
        "method": method,
        "seed": 0,
        "density": 1.0 if method == reference else density,
        "kept": 6_700,
        "prunable": 67_000,
        "reference": reference,
        "fingerprint": f"{method:x<64}",
    }


def make_rows(method: str, *rows: Record) -> list[Record]:
    return [{"method": method, "seed": 0, "density": 0.1, **row} for row in rows]


def share(family: Any, setting: str, metric: str, value: float, n: int = 200) -> Record:
    """A fraction with about the interval that so many images give."""
    half = 1.96 * math.sqrt((value * (1 - value) + 1 / n) / n)
    return make_row(
        family, setting, metric, value, low=max(0.0, value - half), high=min(1.0, value + half), n=n
    )


def make_record(**changes: Any) -> Record:
    """The dense network and LTR, two distances, two corruptions, one set of strangers."""
    values = {"dense": (0.9, 0.6, 0.2, 0.8, 0.95, 0.02), "ltr": (0.88, 0.5, 0.1, 0.82, 0.9, 0.03)}
    rows = []
    for method, (clean, weak, strong, corrupted, auroc, ece) in values.items():
        rows += make_rows(
            method,
            share("adversarial", "Linf", "clean_accuracy", clean),
            share("adversarial", "Linf eps 1/255", "robust_accuracy", weak),
            share("adversarial", "Linf eps 8/255", "robust_accuracy", strong),
            make_row("adversarial", "Linf", "median_eps", 2 / 255, low=1 / 255, high=None, n=200),
            share("corruption", "clean", "accuracy", clean, n=360),
            *(
                share("corruption", f"gaussian_noise {severity}", "accuracy", corrupted - 0.01 * severity)
                for severity in (1, 3, 5)
            ),
            share("corruption", "gaussian_noise", "accuracy", corrupted - 0.03),
            share("corruption", "contrast 5", "accuracy", corrupted + 0.03),
            share("corruption", "contrast", "accuracy", corrupted + 0.03),
            make_row("corruption", "contrast", "corruption_error", 0.9),
            share("corruption", "mean", "accuracy", corrupted),
            make_row("corruption", "mean", "mean_corruption_error", 1.0 if method == "dense" else 0.9),
            make_row("out_of_distribution", "shuffled_pixels", "ood_share", 0.5, n=400),
            share("out_of_distribution", "shuffled_pixels energy", "auroc", auroc),
            make_row("out_of_distribution", "shuffled_pixels energy", "aupr_ood_positive", 0.91),
            make_row("out_of_distribution", "shuffled_pixels energy", "aupr_id_positive", 0.92),
            make_row("out_of_distribution", "shuffled_pixels energy", "fpr95_ood_positive", 0.21),
            make_row("out_of_distribution", "shuffled_pixels energy", "fpr95_id_positive", 0.22),
            make_row("calibration", "as trained", "ece", ece, low=ece - 0.01, high=ece + 0.01, n=360),
            make_row("calibration", "as trained", "nll", 0.123, low=0.1, high=0.15, n=360),
        )
    rows += make_rows(
        "dense",
        make_row("corruption", "clean", "prune_potential", 0.0, n=360),
        make_row("corruption", "mean", "prune_potential", 0.9, n=360),
        make_row("corruption", "gaussian_noise", "prune_potential", 0.9, n=360),
        make_row("corruption", "contrast", "prune_potential", 0.0, n=360),
    )
    rows += compare("ltr", "clean", -0.02, 0.01, p=0.5, holm=0.5, shown=0)
    rows += compare("ltr", "Linf eps 8/255", -0.1, 0.03, p=0.0004, holm=0.0012, shown=0)
    rows += compare("ltr", "mean corruption", 0.02, 0.01, p=0.2, holm=0.4, shown=1)
    record = {
        "networks": [name_network("dense"), name_network("ltr")],
        "rows": rows,
        "reliability": {
            "dense": [make_bin(0.4, 0.6, 20, 0.5, 0.45), make_bin(0.8, 1.0, 180, 0.97, 0.95)],
            "ltr": [make_bin(0.8, 1.0, 200, 0.95, 0.88)],
        },
        "checks": [make_check("dense", passed=True), make_check("ltr", passed=True)],
        "corruptions": "C-like",
        "images": {"clean": 360, "adversarial": 200, "corruptions": 360},
        "classes": 10,
        "eps": [1 / 255, 8 / 255],
        "margin": 0.01,
        "confidence": 0.95,
    }
    return record | changes


def compare(
    method: str, setting: str, difference: float, half: float, *, p: float, holm: float, shown: int | None
) -> list[Record]:
    bounds = {"low": difference - half, "high": difference + half, "n": 200}
    return make_rows(
        method,
        make_row("comparison", setting, "difference", difference, **bounds),
        make_row("comparison", setting, "mcnemar_p", p),
        make_row("comparison", setting, "holm_p", holm),
        make_row("comparison", setting, "non_inferior", shown),
    )


def make_check(method: str, *, passed: bool | None, sentence: str = "all is well") -> Record:
    return {
        "method": method,
        "check": "zero_gradients",
        "value": 0.0,
        "passed": passed,
        "sentence": sentence,
    }


def make_bin(low: float, high: float, count: int, confidence: float, accuracy: float) -> Record:
    return {"low": low, "high": high, "count": count, "confidence": confidence, "accuracy": accuracy}


def make_full_record(**changes: Any) -> Record:
    """Ten networks and the dense parent of one of them: what a run on digits could give."""
    rows, reliability = [], {}
    for method, (clean, weakness, damage) in NETWORKS.items():
        rows += _attack(method, clean, weakness)
        rows += _corrupt(method, clean, damage)
        rows += _meet_strangers(method, clean)
        rows += make_rows(
            method,
            share("calibration", "as trained", "accuracy", clean, n=360),
            share("calibration", "as trained", "ece", 1.2 * (1 - clean), n=360),
            make_row(
                "calibration", "as trained", "nll", 3 * (1 - clean), low=2 * (1 - clean), high=0.4, n=360
            ),
        )
        reliability[method] = _make_bins(clean)
        parent = NETWORKS[_parent_of(method)]
        if method != _parent_of(method):
            lost = parent[0] - clean
            rows += compare(method, "clean", -lost, 0.015, p=0.2, holm=1.0, shown=int(lost < 0.005))
            for place, eps in enumerate(FULL_EPS[:6]):
                gap = -0.1 * (weakness - parent[1]) * place
                few = gap < -0.1
                p, holm = (0.0001, 0.004) if few else (0.12, 0.9)
                rows += compare(method, f"Linf eps {eps}/255", gap, 0.04, p=p, holm=holm, shown=0)
            rows += compare(
                method, "mean corruption", -0.05 * (damage - 1), 0.01, p=0.3, holm=1.0, shown=None
            )
    record = make_record()
    return (
        record
        | {
            "networks": [name_network(method, reference=_parent_of(method)) for method in NETWORKS],
            "rows": rows,
            "reliability": reliability,
            "checks": [make_check(method, passed=True) for method in NETWORKS],
            "images": {
                "clean": 360,
                "adversarial": 200,
                "corruptions": 360,
                "out_of_distribution": 360,
                "calibration": 360,
            },
            "eps": [value / 255 for value in FULL_EPS[:6]],
        }
        | changes
    )


def _parent_of(method: str) -> str:
    return "supertickets_dense" if method.startswith("supertickets") else "dense"


def _attack(method: str, clean: float, weakness: float) -> list[Record]:
    curve = {eps: clean / (1 + (weakness * eps / 20) ** 1.7) for eps in FULL_EPS}
    median = 20 / weakness / 255
    return make_rows(
        method,
        share("adversarial", "Linf", "clean_accuracy", clean),
        *(
            share("adversarial", f"Linf eps {eps}/255", "robust_accuracy", value)
            for eps, value in curve.items()
        ),
        make_row("adversarial", "Linf", "median_eps", median, low=0.9 * median, high=1.1 * median, n=200),
    )


def _corrupt(method: str, clean: float, damage: float) -> list[Record]:
    rows, means = [share("corruption", "clean", "accuracy", clean, n=360)], []
    for place, name in enumerate(CORRUPTIONS):
        values = [
            clean - 0.012 * damage * severity * (1 + place % 4 + math.sin(7 * place))
            for severity in range(1, 6)
        ]
        rows += [
            share("corruption", f"{name} {severity}", "accuracy", value, n=360)
            for severity, value in enumerate(values, 1)
        ]
        means.append(sum(values) / 5)
        rows.append(share("corruption", name, "accuracy", means[-1], n=360))
        rows.append(make_row("corruption", name, "corruption_error", damage))
    rows.append(share("corruption", "mean", "accuracy", sum(means) / len(means), n=360))
    rows.append(make_row("corruption", "mean", "mean_corruption_error", damage))
    return make_rows(method, *rows)


def _meet_strangers(method: str, clean: float) -> list[Record]:
    rows = []
    for place, name in enumerate(("noise", "shuffled_pixels", "other_digits")):
        for score in ("msp", "max_logit", "energy"):
            setting = f"{name} {score}"
            value = 1 - (1 - clean) * (place + 1) * 1.7
            rows.append(share("out_of_distribution", setting, "auroc", value, n=360))
            rows += [
                make_row("out_of_distribution", setting, metric, value if "aupr" in metric else 1 - value)
                for metric in METRICS
            ]
    return make_rows(method, *rows)


def _make_bins(clean: float) -> list[Record]:
    bins = []
    for place in range(4, 15):
        confidence = (place + 0.5) / 15
        accuracy = max(0.0, min(1.0, confidence - 0.06 + 0.12 * math.sin(3 * place + 40 * clean)))
        bins.append(
            make_bin(place / 15, (place + 1) / 15, 1 if place < 8 else 3 ** (place - 8), confidence, accuracy)
        )
    return bins
