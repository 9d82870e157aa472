import json
import re
import subprocess
import sys

import pytest
import yaml
from pydantic import ValidationError

from lottery_pipeline.models.names import ModelError
from lottery_pipeline.models.supernet.config import (
    Attention,
    Head,
    Stage,
    Supernet,
    branch_size,
    check_image_size,
)
from lottery_pipeline.models.supernet.presets import PRESETS
from tests.kedro_project import ROOT

SOUND = {"input_stride": 1, "stem_channels": 8, "stages": [{"blocks": [1], "channels": [8]}]}
TWO = [*SOUND["stages"], {"blocks": [1, 1], "channels": [8, 16]}]


@pytest.mark.parametrize("name", list(PRESETS))
def test_a_configuration_survives_json(name):
    config = PRESETS[name]
    assert Supernet.model_validate_json(config.model_dump_json()) == config
    assert Supernet(**json.loads(json.dumps(config.model_dump(mode="json")))) == config
    assert hash(config) == hash(config.model_copy())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kernel_sizes": [4]}, "odd and ascending, such as 3, 5, 7; got \\[4\\]"),
        ({"kernel_sizes": [5, 3]}, "odd and ascending"),
        ({"kernel_sizes": [3, 3]}, "odd and ascending"),
        ({"kernel_sizes": []}, "at least 1 item"),
        ({"kernel_sizes": [17]}, "less than or equal to 15"),
        ({"stages": []}, "at least 1 item"),
        ({"stages": [{"blocks": [1, 1], "channels": [8]}]}, "one entry for each branch, got 2 and 1"),
        ({"stages": [{"blocks": [0], "channels": [8]}]}, "greater than or equal to 1"),
        ({"stages": [{"blocks": [1], "channels": [-8]}]}, "greater than or equal to 1"),
        (
            {"stages": [{"blocks": [1] * 3, "channels": [8] * 3}]},
            "stage 1 has 3 branches, but must have 1 or 2",
        ),
        ({"stages": [*TWO, SOUND["stages"][0]]}, "stage 3 has 1 branches, but must have 2 or 3"),
        ({"input_stride": 3}, "1, 2 or 4"),
        ({"stem_channels": 0}, "greater than or equal to 1"),
        ({"stem_channels": 10**9}, "less than or equal to 2048"),
        ({"expand_ratio": 0}, "greater than 0"),
        ({"expand_ratio": float("nan")}, "finite number"),
        ({"bn_momentum": 0}, "greater than 0"),
        ({"bn_eps": 0}, "greater than or equal to 0.00000001"),
        ({"attention": {"tokens": 0}}, "greater than or equal to 1"),
        ({"attention": {"dropout": 1.0}}, "less than 1"),
        ({"attention": {"branches": [2]}}, "ascending numbers from 1 to 1, got \\[2\\]"),
        ({"attention": {"branches": "some"}}, "'all'"),
        ({"head": {"channels": [8, 8]}}, "one entry for each of the 1 branches, got 2"),
        ({"head": {"task": "regression"}}, "'classification', 'segmentation' or 'keypoints'"),
        (
            {"head": {"task": "keypoints", "channels": [8]}},
            "are for classification, not for keypoints",
        ),
        ({"head": {"task": "segmentation", "dropout": 0.1}}, "are for classification, not for segmentation"),
        ({"colour": "red"}, "Extra inputs are not permitted"),
        ({"stages": [{"blocks": [16], "channels": [8]}] * 16}, "at most 200 searchable blocks"),
    ],
)
def test_every_field_is_bounded_and_a_bad_one_is_named(change, message):
    assert Supernet(**SOUND).branches == 1
    with pytest.raises(ValidationError, match=message):
        Supernet(**SOUND | change)


def test_a_configuration_cannot_be_changed():
    with pytest.raises(ValidationError, match="frozen"):
        PRESETS["digits8"].stem_channels = 1


def test_branches_must_not_be_less_than_a_pixel():
    config = PRESETS["hrnas"]
    assert config.stride == 32
    check_image_size(config, (32, 40))
    with pytest.raises(ModelError, match=r"at least 32x32 pixels, these are 32x31; raise data\.image_size"):
        check_image_size(config, (32, 31))


@pytest.mark.parametrize(
    ("size", "branch", "found"), [((8, 8), 0, (8, 8)), ((9, 11), 1, (5, 6)), ((33, 47), 1, (17, 24))]
)
def test_branches_halve_the_size_and_round_up(size, branch, found):
    assert branch_size(PRESETS["digits8"], size, branch) == found


def test_heads_must_divide_the_grid_of_every_branch():
    config = Supernet(**SOUND, attention=Attention(grid=4, heads=3))
    with pytest.raises(
        ModelError, match=r"attention\.heads is 3, which does not divide the 16 cells of the 4x4"
    ):
        check_image_size(config, (8, 8))
    check_image_size(config, (3, 3))
    check_image_size(Supernet(**SOUND, attention=Attention(enabled=False, grid=4, heads=3)), (8, 8))


def test_heads_have_default_widths_that_agree_with_the_published_ones():
    hrnas = PRESETS["hrnas"]
    assert (hrnas.head_channels(), hrnas.head_width()) == ((36, 72, 144, 320), 1600)
    assert hrnas.for_task("segmentation").head_width() == 90
    assert hrnas.for_task("keypoints").head == Head(task="keypoints")
    digits = PRESETS["digits8"]
    assert digits.for_task("classification") is digits
    assert (digits.head_channels(), digits.head_width()) == ((16, 32), 64)


def test_the_published_preset_has_the_published_stages():
    stages = PRESETS["hrnas"].stages
    assert stages[0] == Stage(blocks=(1,), channels=(24,))
    assert [stage.channels for stage in stages[1:]] == [
        (18, 36),
        (18, 36, 72),
        (18, 36, 72, 144),
        (18, 36, 72, 144),
    ]
    assert [stage.blocks for stage in stages[1:]] == [(2, 2), (2, 2, 3), (2, 2, 3, 4), (2, 2, 3, 4)]
    assert not PRESETS["hrnas"].attention.enabled
    assert (PRESETS["hrnas"].attention.tokens, PRESETS["hrnas"].attention.grid) == (64, 8)


def test_configurations_and_choices_are_known_without_torch():
    code = (
        "import sys; from lottery_pipeline.models import choice; "
        "from lottery_pipeline.models.supernet import layout, presets; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def read_section() -> str:
    page = (ROOT / "docs" / "supertickets.md").read_text()
    return page.partition("## A supernet of your own")[2].partition("\n## ")[0]


def list_defaults() -> dict[str, object]:
    """Return the default of every key that a configuration may have."""
    found: dict[str, object] = {}
    parts = {"": Supernet, "stages.": Stage, "attention.": Attention, "head.": Head}
    for prefix, part in parts.items():
        for name, field in part.model_fields.items():
            if f"{name}." not in parts or name == "stages":
                found[prefix + name] = "required" if field.is_required() else field.default
    return found


def test_the_page_explains_every_key_of_a_configuration_with_its_default():
    rows = re.findall(r"^\| `([\w.]+)` \| [^|]+ \| ([^|]*) \| [^|]+ \|$", read_section(), re.MULTILINE)
    shown = {key: yaml.safe_load(default.strip("`")) for key, default in rows}
    expected = {
        key: list(value) if isinstance(value, tuple) else value for key, value in list_defaults().items()
    }
    assert {key: float(value) if key == "bn_eps" else value for key, value in shown.items()} == expected


def test_the_configuration_on_the_page_is_the_one_it_says():
    example = yaml.safe_load(read_section().partition("```yaml")[2].partition("```")[0])
    found = Supernet.model_validate(example["supertickets"]["extraction"]["supernet"])
    assert found == PRESETS["digits8"].model_copy(update={"attention": Attention(enabled=False)})
