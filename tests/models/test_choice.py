from pathlib import Path

import pytest

from lottery_pipeline.models.choice import check_choice, is_supernet, resolve_choice, specify_model
from lottery_pipeline.models.names import ModelError
from lottery_pipeline.models.spec import ModelSpec
from lottery_pipeline.models.supernet.architecture_file import ArchitectureFile
from lottery_pipeline.models.supernet.layout import lay_out
from lottery_pipeline.models.supernet.presets import PRESETS
from tests.models.supernet.networks import TINY

IMAGES = {
    "ignore_layers": ("fc",),
    "num_classes": 10,
    "channels": 1,
    "image_size": (8, 8),
    "mean": (0.3,),
    "std": (0.4,),
}


def write(folder: Path, config=TINY) -> Path:
    widths = tuple(
        block.widths().model_copy(update={"tokens": 0}) for block in lay_out(config, (8, 8)).values()
    )
    record = ArchitectureFile(format_version=1, supernet=config, architecture=widths)
    path = folder / "found.json"
    path.write_text(record.model_dump_json())
    return path


@pytest.mark.parametrize(
    "name",
    ["resnet20", "torchvision:vit_b_16", "nets:tiny", "supernet:digits8", "supernet:../a b/found.json"],
)
def test_names_of_every_form_are_accepted(name):
    assert check_choice(name) is None


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "supernet",
            "does not say which supernet; allowed are supernet:digits8, .*supernet:hrnas and supernet:<",
        ),
        (
            "supernet:digit8",
            "unknown supernet 'digit8' .did you mean 'digits8'.*; allowed are supernet:digits8",
        ),
        ("supernet:", "unknown supernet ''"),
        ("supernet:found.yml", "unknown supernet 'found.yml'"),
        ("supernet:" + "x" * 5000 + ".json", "unknown supernet 'xxx"),
        ("resnet21", "unknown model 'resnet21' .*supernet:<preset or file>"),
        ("supernet:a:b", "unknown supernet"),
    ],
)
def test_other_names_are_refused_with_what_is_allowed(name, message):
    with pytest.raises(ModelError, match=message) as caught:
        check_choice(name)
    assert len(str(caught.value)) < 500


def test_relative_paths_start_at_the_folder(tmp_path):
    assert resolve_choice("supernet:a/b.json", tmp_path) == f"supernet:{tmp_path}/a/b.json"
    assert resolve_choice("supernet:/a/b.json", tmp_path) == "supernet:/a/b.json"
    assert resolve_choice("supernet:digits8", tmp_path) == "supernet:digits8"
    assert resolve_choice("resnet20", tmp_path) == "resnet20"
    assert not is_supernet("torchvision:resnet18")


def test_other_networks_are_specified_as_before():
    assert specify_model("resnet20", **IMAGES) == ModelSpec(name="resnet20", **IMAGES)


def test_a_preset_becomes_its_full_configuration():
    spec = specify_model("supernet:digits8", **IMAGES)
    assert spec == ModelSpec(name="supernet", supernet=PRESETS["digits8"], **IMAGES)
    dense = specify_model("supernet:digits8", task="segmentation", **IMAGES)
    assert dense.supernet == PRESETS["digits8"].for_task("segmentation")


def test_a_file_becomes_its_configuration_and_architecture(tmp_path):
    spec = specify_model(f"supernet:{write(tmp_path)}", **IMAGES)
    assert spec.supernet == TINY
    assert spec.is_reduced
    assert {widths.tokens for widths in spec.architecture} == {0}


def test_a_found_architecture_is_for_one_task(tmp_path):
    with pytest.raises(ModelError, match="was found for classification, but these images are for keypoints"):
        specify_model(f"supernet:{write(tmp_path)}", task="keypoints", **IMAGES)


def test_only_supernets_do_more_than_classify():
    with pytest.raises(ModelError, match="'resnet20' classifies images, but these are for segmentation"):
        specify_model("resnet20", task="segmentation", **IMAGES)


def test_bad_values_are_named_in_one_sentence():
    with pytest.raises(
        ModelError, match="cannot be specified: num_classes is 1: it must be a whole number from 2"
    ) as caught:
        specify_model("resnet20", **IMAGES | {"num_classes": 1})
    assert len(str(caught.value).splitlines()) == 1
