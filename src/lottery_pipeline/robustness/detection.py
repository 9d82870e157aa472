"""Out-of-distribution detection: whether a network's outputs tell strangers from the images it knows.

Two conventions are in use for what is not symmetric, so each metric says its own. ``_ood_positive``:
strangers are what is to be found, as in OpenOOD v1.5 (arXiv 2306.09301). ``_id_positive``: known images are.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lottery_pipeline.images.splits import ImageSet
from lottery_pipeline.options.robustness import DetectionOptions
from lottery_pipeline.reproducibility.seeds import derive_seed
from lottery_pipeline.robustness.logits import compute_logits
from lottery_pipeline.robustness.rows import Row, make_row
from lottery_pipeline.robustness.strangers import choose_indices
from lottery_pipeline.statistics.intervals import Interval
from lottery_pipeline.statistics.paired import find_percentiles

METRICS = ("auroc", "aupr_ood_positive", "fpr95_ood_positive", "aupr_id_positive", "fpr95_id_positive")

_FOUND = 0.95  # of the positives, at the threshold of fpr95
_COUNTS_AT_ONCE = 2**16


def score_msp(logits: Tensor) -> Tensor:
    """Return minus the largest softmax probability, ``[N]`` in float64 (arXiv 1610.02136)."""
    return -torch.softmax(logits.double(), dim=1).amax(dim=1)


def score_max_logit(logits: Tensor) -> Tensor:
    """Return minus the largest logit, ``[N]`` in float64 (arXiv 1911.11132)."""
    return -logits.double().amax(dim=1)


def score_energy(logits: Tensor, temperature: float = 1.0) -> Tensor:
    """Return the energy -T logsumexp(z / T), ``[N]`` in float64 (arXiv 2010.03759)."""
    return -temperature * torch.logsumexp(logits.double() / temperature, dim=1)


# From logits [N, K] to [N]; higher means stranger.
SCORES = {"msp": score_msp, "max_logit": score_max_logit, "energy": score_energy}


def measure_separation(known: np.ndarray, strange: np.ndarray) -> dict[str, float]:
    """Measure how well a score tells two kinds of images apart.

    - ``auroc``: the chance that a stranger scores higher than a known image, ties counting half.
    - ``aupr``: average precision, the area below the stairs of precision over recall. (OpenOOD joins the
      points by straight lines, which flatters.) By chance it is the share of the positives.
    - ``fpr95``: share of the negatives that are taken for positives at the strictest threshold that finds at
      least 95 % of the positives.

    Args:
        known: scores of known images, ``[n]``, at least one; higher means stranger.
        strange: scores of strangers, ``[m]``, at least one.

    Returns:
        The values of ``METRICS``.
    """
    from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

    scores = np.concatenate([known, strange])
    is_strange = np.repeat([False, True], [len(known), len(strange)])

    def measure_fpr95(is_positive: np.ndarray, scores: np.ndarray) -> float:
        false, true, _ = roc_curve(is_positive, scores, drop_intermediate=False)
        return float(false[np.argmax(true >= _FOUND)])

    values = (
        roc_auc_score(is_strange, scores),
        average_precision_score(is_strange, scores),
        measure_fpr95(is_strange, scores),
        average_precision_score(~is_strange, -scores),
        measure_fpr95(~is_strange, -scores),
    )
    return {name: float(value) for name, value in zip(METRICS, values, strict=True)}


def resample_separation(
    known: np.ndarray, strange: np.ndarray, *, resamples: int, seed: int
) -> dict[str, np.ndarray]:
    """Measure what ``measure_separation`` does on images drawn with replacement, each kind by itself.

    Many drawn sets at once: scikit-learn, which takes one at a time, would need minutes.

    Returns:
        ``[resamples]`` values for each of ``METRICS``.
    """
    thresholds, places = np.unique(-np.concatenate([known, strange]), return_inverse=True)
    generator, width = np.random.default_rng(derive_seed(seed, "separation")), len(thresholds)
    rows = max(1, _COUNTS_AT_ONCE // width)

    def draw(places: np.ndarray, count: int) -> np.ndarray:
        """Count the drawn images at each threshold, the strictest first: ``[count, thresholds]``."""
        drawn = places[generator.integers(len(places), size=(count, len(places)))]
        drawn += width * np.arange(count)[:, None]
        return np.bincount(drawn.ravel(), minlength=count * width).reshape(count, width)

    measured = []
    for start in range(0, resamples, rows):
        count = min(rows, resamples - start)
        measured.append(_measure_counts(draw(places[len(known) :], count), draw(places[: len(known)], count)))
    return dict(zip(METRICS, np.concatenate(measured, axis=1), strict=True))


def _measure_counts(strange: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Return the values of ``METRICS``, ``[5, r]``, of counts ``[r, thresholds]``, the strictest first."""
    all_strange, all_known = strange.sum(axis=1, keepdims=True), known.sum(axis=1, keepdims=True)
    # So many are at a threshold or above it; and below it or at it.
    strange_above, known_above = strange.cumsum(axis=1), known.cumsum(axis=1)
    strange_below = all_strange - strange_above + strange
    known_below = all_known - known_above + known
    wins = np.einsum("ij,ij->i", strange, known_below - 0.5 * known)
    return np.stack(
        [
            wins / (all_strange * all_known)[:, 0],
            _average_precision(strange, strange_above, known_above),
            _find_fpr95(strange_above, known_above),
            _average_precision(known, known_below, strange_below),
            _find_fpr95(known_below[:, ::-1], strange_below[:, ::-1]),
        ]
    )


def _average_precision(positive: np.ndarray, true: np.ndarray, false: np.ndarray) -> np.ndarray:
    precision = true / np.maximum(true + false, 1)
    return np.einsum("ij,ij->i", positive, precision) / positive.sum(axis=1)


def _find_fpr95(true: np.ndarray, false: np.ndarray) -> np.ndarray:
    """Return the share of negatives where enough positives are found; both counts rise along a row."""
    first = (true / true[:, -1:] >= _FOUND).argmax(axis=1)
    return false[np.arange(len(false)), first] / false[:, -1]


def measure_detection(
    model: nn.Module,
    inside: ImageSet,
    strangers: Mapping[str, ImageSet],
    options: DetectionOptions,
    *,
    device: torch.device | str,
    resamples: int,
    confidence: float,
    seed: int,
) -> dict[str, Any]:
    """Measure how well each score tells each set of strangers from known images.

    Args:
        model: pixels in [0, 1] to logits.
        inside: images of the kind that the network was trained on, but not those; at most
            ``options.images`` of them are used, the same ones for every network.
        strangers: sets by name, as ``gather_strangers`` has them.
        options: which scores.
        device: where the network runs.
        resamples: of the bootstrap, which draws known images and strangers anew, each kind by itself.
        confidence: of the percentile intervals. Where the two kinds are told apart without a fault, an
            interval has no width, although other images might be.
        seed: of the choice of images and of the bootstrap.

    Returns:
        ``rows``: for each set its share of all images, which is the AUPR of pure chance, and for each set and
        score the values of ``METRICS``; ``n`` counts both kinds.

    Raises:
        EvaluationError: there are no images, or the network has no finite logits for some.
    """
    chosen = choose_indices(len(inside), options.images, seed=seed).to(inside.images.device)
    known = compute_logits(model, ImageSet(inside.images[chosen], inside.labels[chosen]), device=device)
    rows: list[Row] = []
    for name, images in strangers.items():
        strange = compute_logits(model, images, device=device)
        n = len(known) + len(strange)
        rows.append(make_row("out_of_distribution", name, "ood_share", len(strange) / n, n=n))
        for score in options.scores:
            pair = [_score(score, logits, options.temperature) for logits in (known, strange)]
            resampled = resample_separation(*pair, resamples=resamples, seed=seed)
            for metric, value in measure_separation(*pair).items():
                interval = Interval(value, *find_percentiles(resampled[metric], confidence), n)
                rows.append(make_row("out_of_distribution", f"{name} {score}", metric, interval))
    return {"rows": rows}


def _score(name: str, logits: Tensor, temperature: float) -> np.ndarray:
    scores = score_energy(logits, temperature) if name == "energy" else SCORES[name](logits)
    return scores.numpy()
