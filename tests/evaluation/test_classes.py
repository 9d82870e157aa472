import torch

from lottery_pipeline.evaluation.classes import tabulate_classes, tabulate_pixels


def test_recall_precision_and_confusion_of_five_images():
    labels, predicted = torch.tensor([0, 0, 1, 1, 1]), torch.tensor([0, 1, 1, 1, 3])
    assert tabulate_classes(labels, predicted, ["cat", "dog", "emu", "fox"]) == {
        "classes": [
            {"class": "cat", "images": 2, "recall": 1 / 2, "precision": 1.0},
            {"class": "dog", "images": 3, "recall": 2 / 3, "precision": 2 / 3},
            {"class": "emu", "images": 0, "recall": None, "precision": None},
            {"class": "fox", "images": 0, "recall": None, "precision": 0.0},
        ],
        "confusion": [
            {"true": "cat", "predicted": "cat", "images": 1},
            {"true": "cat", "predicted": "dog", "images": 1},
            {"true": "dog", "predicted": "dog", "images": 2},
            {"true": "dog", "predicted": "fox", "images": 1},
        ],
    }


def test_classes_of_one_name_stay_two_classes():
    found = tabulate_classes(torch.tensor([1, 0]), torch.tensor([0, 0]), ["crane", "crane"])
    assert [row["recall"] for row in found["classes"]] == [1.0, 0.0]
    assert [row["images"] for row in found["confusion"]] == [1, 1]


def test_many_classes_take_memory_only_for_pairs_that_occur():
    names = [str(number) for number in range(100_000)]  # a full matrix would take 80 GB
    found = tabulate_classes(torch.tensor([99_999]), torch.tensor([7]), names)
    assert found["confusion"] == [{"true": "99999", "predicted": "7", "images": 1}]


def test_pixels_are_tabulated_from_the_matrix_of_the_mean_iou():
    found = tabulate_pixels(torch.tensor([[3, 1, 0], [1, 3, 0], [0, 0, 0]]), ["ground", "cat", "dog"])
    row = {"pixels": 4, "recall": 0.75, "precision": 0.75, "iou": 0.6}
    assert found == {
        "classes": [
            {"class": "ground", **row},
            {"class": "cat", **row},
            {"class": "dog", "pixels": 0, "recall": None, "precision": None, "iou": None},
        ],
        "confusion": [
            {"true": "ground", "predicted": "ground", "pixels": 3},
            {"true": "ground", "predicted": "cat", "pixels": 1},
            {"true": "cat", "predicted": "ground", "pixels": 1},
            {"true": "cat", "predicted": "cat", "pixels": 3},
        ],
    }
