"""Several networks on the same bad images: the record, its rows, and what a stop costs."""

import json
import logging
import re
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from lottery_pipeline.images.request import ImageError
from lottery_pipeline.images.splits import ImageSet
from lottery_pipeline.options.robustness import RobustnessOptions
from lottery_pipeline.reproducibility.checkpoints import Checkpoints
from lottery_pipeline.robustness import evaluation as module
from lottery_pipeline.robustness.conditions import Conditions
from lottery_pipeline.robustness.evaluation import FAMILIES, evaluate_networks, pick_headlines
from lottery_pipeline.robustness.subjects import collect_subjects

OPTIONS: dict[str, Any] = {
    "adversarial": {"eps": "8/255 32/255", "eps_limit": None, "steps": 2, "fmn_steps": 2, "images": 12},
    "corruptions": {"names": "gaussian_noise contrast", "severities": "1 5", "images": 12},
    "out_of_distribution": {"sets": "noise", "scores": "energy", "images": 12},
    "resamples": 100,
}


@pytest.fixture(scope="module")
def subjects(dense, trained, images, tmp_path_factory):
    return collect_subjects(
        dense, {"snip": lambda: trained}, images, models=tmp_path_factory.mktemp("models")
    )


def evaluate(subjects, images, options: dict[str, Any] = OPTIONS, **changes: Any) -> dict[str, Any]:
    chosen = RobustnessOptions.model_validate(options)
    return evaluate_networks(subjects, images, chosen, **{"seed": 0, "device": "cpu", **changes})


@pytest.fixture(scope="module")
def record(subjects, images):
    return evaluate(subjects, images)


def find(record, **wanted: Any) -> dict[str, Any]:
    (row,) = [row for row in record["rows"] if all(row[key] == value for key, value in wanted.items())]
    return row


def test_the_record_is_plain_json_and_names_every_network(record) -> None:
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    assert [network["method"] for network in record["networks"]] == ["dense", "snip"]
    assert {row["method"] for row in record["rows"]} == {"dense", "snip"}
    assert set(record["reliability"]) == {"dense", "snip"}
    assert record["corruptions"] == "C-like"


def test_the_clean_accuracy_is_that_of_the_leaderboard(record, dense) -> None:
    row = find(record, method="dense", family="clean")
    assert row["value"] == pytest.approx(dense.metrics["test_accuracy"])
    assert row["low"] < row["value"] < row["high"] or row["value"] in (0, 1)


def test_every_network_gets_every_family(record) -> None:
    for method in ("dense", "snip"):
        families = {row["family"] for row in record["rows"] if row["method"] == method}
        own = {"clean", "adversarial", "corruption", "out_of_distribution", "calibration", "check"}
        assert families - {"comparison"} == own


def test_only_the_ticket_is_compared_and_only_the_dense_network_has_a_prune_potential(record) -> None:
    compared = {row["method"] for row in record["rows"] if row["family"] == "comparison"}
    assert compared == {"snip"}
    potential = {row["method"] for row in record["rows"] if row["metric"] == "prune_potential"}
    assert potential == {"dense"}


def test_an_error_relative_to_a_network_without_errors_has_no_value(record) -> None:
    row = find(record, method="snip", setting="mean", metric="mean_corruption_error")
    assert (row["value"], row["n"]) == (None, 12)


def test_robust_accuracy_is_no_more_than_clean_and_falls_with_eps(record) -> None:
    for method in ("dense", "snip"):
        clean = find(record, method=method, setting="Linf", metric="clean_accuracy")["value"]
        values = [
            find(record, method=method, setting=f"Linf eps {eps}/255", metric="robust_accuracy")["value"]
            for eps in (8, 32)
        ]
        assert clean >= values[0] >= values[1]


def test_the_same_seed_gives_the_same_record_and_another_seed_other_images(subjects, images, record) -> None:
    assert evaluate(subjects, images) == record
    options = RobustnessOptions.model_validate(OPTIONS)
    chosen = [Conditions(images, options, seed=seed, device="cpu").choose(12) for seed in (0, 1)]
    assert not torch.equal(*chosen)


def test_a_larger_budget_only_adds_images(images) -> None:
    conditions = Conditions(images, RobustnessOptions(), seed=0, device="cpu")
    assert set(conditions.choose(5).tolist()) < set(conditions.choose(12).tolist())
    assert conditions.choose(None).tolist() == list(range(20))
    assert conditions.choose(1000).tolist() == list(range(20))


@pytest.mark.parametrize("stopped_at", range(1, 10, 2))
def test_a_stopped_evaluation_resumes_without_measuring_anything_twice(
    stopped_at: int, subjects, images, record, tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[tuple[str, str]] = []

    def stop_after(count: float) -> None:
        def watched(family: str):
            def measure(model: nn.Module, conditions: Any, subject: Any, own: Any) -> Any:
                if len(made) >= count:
                    raise KeyboardInterrupt
                made.append((subject.name, family))
                return FAMILIES[family](model, conditions, subject, own)

            return measure

        monkeypatch.setattr(module, "FAMILIES", {family: watched(family) for family in FAMILIES})

    stop_after(stopped_at)
    with pytest.raises(KeyboardInterrupt):
        evaluate(subjects, images, checkpoints=Checkpoints(tmp_path))
    stop_after(float("inf"))
    assert evaluate(subjects, images, checkpoints=Checkpoints(tmp_path)) == record
    assert len(made) == len(set(made)) == 10


@pytest.mark.parametrize("family", ["adversarial", "corruptions", "out_of_distribution", "calibration"])
def test_a_family_that_is_null_is_left_out(family: str, subjects, images) -> None:
    found = evaluate(subjects, images, {**OPTIONS, family: None})
    named = family.removesuffix("s") if family == "corruptions" else family
    assert named not in {row["family"] for row in found["rows"]}
    assert family not in found["images"]


def test_headlines_name_what_and_whose(record) -> None:
    headlines = pick_headlines(record)
    assert headlines["ece/dense"] == find(record, method="dense", setting="as trained", metric="ece")["value"]
    robust = find(record, method="snip", setting="Linf eps 32/255", metric="robust_accuracy")["value"]
    assert headlines["robust_accuracy/snip"] == robust
    assert len(headlines) == 6


def test_progress_tells_accuracies_and_the_time_left(subjects, images, caplog) -> None:
    with caplog.at_level(logging.INFO):
        evaluate(subjects, images)
    (first, _) = [line for line in caplog.messages if line.startswith("robustness:")]
    assert re.match(
        r"robustness: 1 of 2 networks, dense: clean [\d.]+ %, Linf eps 32/255 [\d.]+ %, corrupted [\d.]+ %",
        first,
    )


def test_images_without_classes_are_refused(images, subjects) -> None:
    pixels = torch.zeros(4, 1, 6, 6, dtype=torch.uint8)
    masks = ImageSet(pixels, torch.zeros(4, 6, 6, dtype=torch.int64))
    dense = replace(images, train=masks, validation=masks, test=masks)
    with pytest.raises(ImageError, match="robustness needs images with classes, but these are for segmentat"):
        evaluate(subjects, dense)


def test_no_test_images_are_refused(images, subjects) -> None:
    none = ImageSet(images.test.images[:0], images.test.labels[:0])
    with pytest.raises(ImageError, match="no test images"):
        evaluate(subjects, replace(images, test=none))


def test_files_that_do_not_fit_are_refused_before_any_network_is_built(images, subjects, tmp_path) -> None:
    def refuse() -> nn.Module:
        raise AssertionError("a network was built first")

    unbuilt = [replace(subject, build=refuse) for subject in subjects]
    options = {**OPTIONS, "corruptions": {"published": str(tmp_path)}}
    with pytest.raises(ImageError, match="are of 10 or 100 classes, but the network has 3"):
        evaluate(unbuilt, images, options)
