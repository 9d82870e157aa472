import pytest

from lottery_pipeline.models.spec import ModelSpec


@pytest.fixture
def make_spec():
    def make(name="resnet20", *, channels=3, size=(32, 32), classes=10, **rest):
        statistics = {"mean": (0.5,) * channels, "std": (0.25,) * channels}
        return ModelSpec(
            **{
                "name": name,
                "num_classes": classes,
                "channels": channels,
                "image_size": size,
                **statistics,
                **rest,
            }
        )

    return make
