"""Data preparation: nodes on the digits."""

from lottery_pipeline.parameters import DataParameters
from lottery_pipeline.pipelines.data_preparation.nodes import draw_images, prepare_images, profile_images


def test_images_are_prepared_once_and_described() -> None:
    request = DataParameters(train_limit=100)
    images = prepare_images(request, 0, None)
    assert prepare_images(request, 0, images) is images
    profile, summary = profile_images(images)
    assert profile["train"].sum() == summary["train"] == 100
    samples, counts = draw_images(images)
    assert samples.to_json()
    assert len(counts.data) == 3
