from lottery_pipeline.reporting.metric import name_metric, put_metric


def test_the_first_record_that_names_its_headline_decides():
    assert name_metric([None, {"metric": None}, {"metric": "mIoU"}, {"metric": "PCK"}]) == "mIoU"
    assert name_metric([{"test_accuracy": 0.9}]) == "accuracy"
    assert name_metric([{"metric": float("nan")}]) == "accuracy", "as pandas reads an empty column"


def test_the_name_takes_the_place_of_the_word_accuracy():
    assert put_metric("Accuracy: test accuracy", "mIoU") == "mIoU: test mIoU"
    assert put_metric("Accuracy: test accuracy", "accuracy") == "Accuracy: test accuracy"
