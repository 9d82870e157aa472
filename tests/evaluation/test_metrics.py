import math
from dataclasses import replace

import pytest
import torch

from lottery_pipeline.costs.macs import count_macs, theoretical_macs, total_macs
from lottery_pipeline.evaluation.classes import tabulate_classes
from lottery_pipeline.evaluation.metrics import evaluate_ticket
from lottery_pipeline.evaluation.retraining import retrain_ticket
from lottery_pipeline.models.prunable import prunable_parameters
from lottery_pipeline.models.registry import build_model
from lottery_pipeline.options import CostOptions
from lottery_pipeline.reproducibility.measured import flatten_record
from lottery_pipeline.surgery.compact import compact_ticket
from lottery_pipeline.tickets import TicketError
from lottery_pipeline.tickets.ladder import complete_rows
from lottery_pipeline.tickets.ticket import make_ticket
from lottery_pipeline.training.dense import pretrain
from lottery_pipeline.training.device import describe_device
from lottery_pipeline.training.evaluation import evaluate, predict, recompute_batchnorm_
from lottery_pipeline.training.history import least_validation_loss
from lottery_pipeline.training.recipe import Recipe
from tests.tiny import OWN_MODEL, RECIPE, draw_images, extract, must_not_train, pretrain_tiny
from tests.training.tiny import tiny_dense_images, tiny_dense_spec

COLUMNS = {
    "method",
    "seed",
    "density",
    "kept",
    "prunable",
    "dense_accuracy",
    "test_accuracy",
    "accuracy_delta",
    "test_loss",
    "metric",
    "model",
    "validation_accuracy",
    "early_stop_step",
    "early_stop_validation_loss",
    "search_epochs",
    "train_epochs",
    "measured",
    "macs_dense",
    "macs_theoretical",
    "macs_executed",
    "parameters_dense",
    "parameters_executed",
    "bytes_dense",
    "bytes_executed",
    "search_macs",
    "train_macs",
    "layer_costs",
    "ledger",
    "ticket_bytes",
    "dead_layers",
    "layers",
    "classes",
    "confusion",
    "fingerprint",
    "dense_fingerprint",
    "arithmetic",
}


def measure(retraining, extraction, images, dense, **changes):
    return evaluate_ticket(
        retraining.ticket,
        extraction.ticket,
        images,
        dense,
        history=retraining.history,
        device="cpu",
        **{**extraction.costs, **changes},
    )


def test_the_method_metrics_are_complete_and_right(images, dense, extraction, retraining):
    metrics = measure(retraining, extraction, images, dense)
    assert set(metrics) == COLUMNS
    test = evaluate(retraining.ticket.build(), images.test)
    assert metrics["test_accuracy"] == test["accuracy"]
    assert metrics["test_loss"] == test["loss"]
    assert metrics["metric"] == "accuracy"
    assert metrics["arithmetic"] == describe_device("cpu")
    assert metrics["dense_accuracy"] == dense.metrics["test_accuracy"]
    assert metrics["accuracy_delta"] == test["accuracy"] - dense.metrics["test_accuracy"]
    assert metrics["validation_accuracy"] == retraining.history[-1]["validation_accuracy"]
    assert (metrics["kept"], metrics["prunable"], metrics["density"]) == (58, 194, 58 / 194)
    assert metrics["search_epochs"] == 2 * 2.0
    names = [row["name"] for row in metrics["ledger"]]
    assert names == ["round_00", "round_01", "retraining"]  # two rungs above the last: R + 1 trainings
    assert sum(row["macs"] for row in metrics["ledger"][:2]) == metrics["search_macs"]
    measured = metrics["measured"]
    assert set(measured) == {"search_seconds", "train_seconds", "ledger"}
    seconds = [row["seconds"] for row in measured["ledger"]]
    assert sum(seconds[:2]) == pytest.approx(measured["search_seconds"])
    assert metrics["train_epochs"] == 2.0
    assert measured["train_seconds"] == pytest.approx(sum(row["seconds"] for row in retraining.history))
    assert metrics["macs_dense"] == 194
    shipped = compact_ticket(retraining.ticket).build()
    assert metrics["macs_executed"] == total_macs(count_macs(shipped, (1, 4, 4))) <= 194
    macs = count_macs(retraining.ticket.build(), (1, 4, 4))
    assert metrics["macs_theoretical"] == theoretical_macs(macs, extraction.ticket.masks) == 58
    assert metrics["ticket_bytes"] == len(extraction.ticket.to_bytes())
    assert [row["kept"] for row in metrics["layers"]] == [
        layer.kept for layer in extraction.ticket.header.layers
    ]
    assert metrics["fingerprint"] == retraining.ticket.fingerprint
    assert metrics["dense_fingerprint"] == dense.fingerprint
    assert metrics["early_stop_validation_loss"] == min(r["validation_loss"] for r in retraining.history)


def test_the_classes_come_from_the_pass_that_gives_the_accuracy(
    images, dense, extraction, retraining, monkeypatch
):
    passes = []

    def watch(model, image_set, **options):
        passes.append(image_set)
        return predict(model, image_set, **options)

    monkeypatch.setattr("lottery_pipeline.evaluation.metrics.predict", watch)
    monkeypatch.setattr("lottery_pipeline.evaluation.metrics.evaluate", must_not_train)
    metrics = measure(retraining, extraction, images, dense)
    assert passes == [images.test]
    predicted = predict(retraining.ticket.build(), images.test).classes
    assert (
        metrics["classes"] == tabulate_classes(images.test.labels, predicted, images.class_names)["classes"]
    )
    right = sum(row["images"] for row in metrics["confusion"] if row["true"] == row["predicted"])
    assert right / len(images.test) == metrics["test_accuracy"]
    assert sum(row["images"] for row in metrics["confusion"]) == len(images.test)


def test_two_evaluations_of_a_ticket_differ_at_most_in_what_is_measured(
    images, dense, extraction, retraining
):
    costs = CostOptions(batch_sizes=(2,), repeats=2, power_watts=50.0, country="FRA")
    slower = {
        "search_seconds": 2 * extraction.search_seconds,
        "search_parts": [part | {"seconds": 2 * part["seconds"]} for part in extraction.parts],
        "train_seconds": 2 * retraining.seconds,
    }
    first, second = (
        measure(retraining, extraction, images, dense, costs=costs, **seconds)
        for seconds in (retraining.costs, slower)
    )
    assert first.keys() == second.keys()
    assert [key for key in first if first[key] != second[key]] == ["measured"]


def test_the_search_record_has_the_seconds_apart_and_is_whole_again_when_flattened(extraction):
    record = extraction.record()
    names = [part["name"] for part in extraction.parts]
    assert [part.keys() for part in record["search_parts"]] == [{"name", "epochs"} for _ in names]
    assert record.keys() == {"search_epochs", "search_parts", "measured"}
    assert flatten_record(record) == extraction.costs


def test_the_least_validation_loss_of_a_table_skips_what_is_missing():
    rows = [{"validation_loss": value} for value in (math.nan, 0.5, None, 0.25)]
    assert least_validation_loss(rows) == 0.25
    assert least_validation_loss(rows[:1]) is None


def test_the_ladder_is_completed_by_the_metrics(images, dense, extraction, retraining):
    metrics = measure(retraining, extraction, images, dense, **retraining.costs)
    rows = complete_rows(extraction.ladder, metrics)
    assert [row["rung"] for row in rows] == [0, 1, 2]
    assert rows[-1]["test_accuracy"] == metrics["test_accuracy"]
    assert rows[-1]["seconds"] == retraining.seconds


def test_metrics_of_a_dead_layer_say_so(images, dense, extraction):
    masks = {name: mask.clone() for name, mask in extraction.ticket.masks.items()}
    masks["network.5.weight"].zero_()
    dead = make_ticket(
        method="ltr",
        spec=dense.spec,
        masks=masks,
        state=dense.rewind,
        seed=0,
        rewind_step=2,
        parents={"dense": dense.fingerprint, "images": images.fingerprint},
        allow_factory=OWN_MODEL,
    )
    trained = retrain_ticket(dead, images, RECIPE, seed=0, device="cpu")
    metrics = evaluate_ticket(trained.ticket, dead, images, dense, history=trained.history, device="cpu")
    assert metrics["dead_layers"] == ["network.5.weight"]
    assert math.isfinite(metrics["test_loss"])


def test_an_untrained_ticket_is_measured_with_batch_norm_statistics_of_its_own():
    images = draw_images(side=8, counts=(12, 4, 6))
    recipe = Recipe(learning_rate=0.1, epochs=2, batch_size=6)
    dense = pretrain_tiny(images, "resnet20", recipe)
    ticket = extract("ltr", images, dense, recipe=recipe, density=0.2, one_shot=True).ticket
    metrics = evaluate_ticket(ticket, ticket, images, dense, history=[], device="cpu")
    model = ticket.build()
    stale = evaluate(model, images.test)["loss"]
    recompute_batchnorm_(model, images.train)
    assert metrics["test_loss"] == evaluate(model, images.test)["loss"] != stale
    assert metrics["train_epochs"] == metrics["measured"]["train_seconds"] == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fingerprint": "c" * 64}, "comes from another dense run"),
        ({"images_fingerprint": "c" * 64}, "trained on other images"),
    ],
)
def test_another_dense_parent_is_refused(images, dense, extraction, retraining, change, message):
    with pytest.raises(TicketError, match=message):
        measure(retraining, extraction, images, replace(dense, **change))


def test_a_dense_parent_of_another_model_is_refused(images, dense, extraction, retraining):
    other = replace(dense, spec=dense.spec.model_copy(update={"ignore_layers": ("1",)}))
    with pytest.raises(TicketError, match="another model"):
        measure(retraining, extraction, images, other)


def test_a_trained_ticket_of_another_ticket_is_refused(images, dense, retraining):
    with pytest.raises(TicketError, match="the trained ticket comes from another ltr ticket"):
        measure(retraining, extract("ltr", images, dense, density=0.5), images, dense)


# Dense tasks ------------------------------------------------------------------------------------------------


def measure_dense(task):
    """A half-dense ticket of the smallest supernet, retrained: its metrics, the ticket and the images."""
    images, recipe = tiny_dense_images(task), Recipe(learning_rate=0.1, epochs=1, batch_size=9)
    dense = pretrain(images, tiny_dense_spec(images), recipe, rewind_epoch=0, seed=0, device="cpu")
    weights = prunable_parameters(build_model(dense.spec, seed=0), ())
    ticket = make_ticket(
        method="ltr",
        spec=dense.spec,
        masks={name: torch.arange(w.numel()).view(w.shape) % 2 == 0 for name, w in weights.items()},
        state=dense.initial,
        seed=0,
        rewind_step=0,
        parents={"dense": dense.fingerprint, "images": images.fingerprint},
    )
    retraining = retrain_ticket(ticket, images, recipe, seed=0, device="cpu")
    trained = retraining.ticket
    metrics = evaluate_ticket(trained, ticket, images, dense, history=retraining.history, device="cpu")
    return metrics, trained, images


def test_a_segmentation_is_measured_by_one_matrix():
    metrics, trained, images = measure_dense("segmentation")
    assert set(metrics) == COLUMNS | {"test_pixel_accuracy"}
    test = evaluate(trained.build(), images.test)
    assert metrics["metric"] == "mIoU"
    assert metrics["test_accuracy"] == test["accuracy"]
    assert metrics["test_pixel_accuracy"] == test["pixel_accuracy"]
    overlaps = [row["iou"] for row in metrics["classes"]]
    assert sum(overlaps) / 2 == metrics["test_accuracy"]
    pixels = int((images.test.labels != 255).sum())
    assert sum(row["pixels"] for row in metrics["confusion"]) == pixels
    right = sum(row["pixels"] for row in metrics["confusion"] if row["true"] == row["predicted"])
    assert right / pixels == metrics["test_pixel_accuracy"]


def test_points_have_no_classes():
    metrics, trained, images = measure_dense("keypoints")
    assert set(metrics) == COLUMNS - {"classes", "confusion"} | {"test_pixel_error"}
    test = evaluate(trained.build(), images.test)
    assert metrics["metric"] == "PCK"
    assert (metrics["test_accuracy"], metrics["test_pixel_error"]) == (test["accuracy"], test["pixel_error"])
