"""The supernet that a search starts from: that of the options, or that of the run."""

import pytest

from lottery_pipeline.methods.supertickets.network import specify_supernet
from lottery_pipeline.models.names import ModelError
from lottery_pipeline.models.supernet.presets import PRESETS
from tests.supernets import ask, supernet_spec
from tests.tiny import draw_images, tiny_spec


def test_a_preset_takes_the_place_of_the_network_with_a_head_for_the_task():
    spec = tiny_spec(ignore_layers=("fc",))
    options = ask(supernet="canvas32", ignore_layers=("network.stem.*",))
    found = specify_supernet(spec, options, "keypoints")
    assert found.supernet == PRESETS["canvas32"].for_task("keypoints")
    assert (found.name, found.ignore_layers) == ("supernet", ("network.stem.*",))
    assert (found.num_classes, found.image_size, found.mean) == (spec.num_classes, spec.image_size, spec.mean)


def test_without_one_it_is_that_of_the_run_and_whole():
    spec = supernet_spec(draw_images())
    assert specify_supernet(spec, ask(), "classification") == spec


def test_an_unknown_preset_is_refused():
    with pytest.raises(ModelError, match="unknown supernet 'canvas'"):
        specify_supernet(tiny_spec(), ask(supernet="canvas"), "segmentation")
