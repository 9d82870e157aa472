import json
import os

import pytest

from lottery_pipeline.models.names import ModelError
from lottery_pipeline.models.supernet.architecture_file import MAX_BYTES, read_architecture
from lottery_pipeline.models.supernet.layout import lay_out
from tests.models.supernet.networks import TINY

FULL = [block.widths().model_dump(mode="json") for block in lay_out(TINY, (8, 8)).values()]
ROW = {"block": "a", "kernels": "3", "tokens": None, "macs": 12, "density": 0.5}


def content(**changes):
    record = {
        "format_version": 1,
        "supernet": TINY.model_dump(mode="json"),
        "architecture": FULL,
        "blocks": [ROW],
    }
    return json.dumps(record | changes)


def test_a_file_holds_a_supernet_and_what_is_left_of_it(tmp_path):
    path = tmp_path / "found.json"
    path.write_text(content())
    found = read_architecture(path)
    assert found.supernet == TINY
    assert found.architecture == tuple(block.widths() for block in lay_out(TINY, (8, 8)).values())
    assert found.blocks == (ROW,)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "it is not JSON"),
        ("[" * 10_000, "it is not JSON"),
        ("{}", "format_version is missing"),
        (content(format_version=2), "format_version is 2: it must be 1"),
        (
            content(weights="x"),
            "weights is unknown: allowed are architecture, blocks, format_version, supernet",
        ),
        (content(supernet={"input_stride": 1}), "supernet.stem_channels is missing"),
        (
            content(architecture=[{"block": "a", "hidden": [[5, 1], [3, 1]]}]),
            "architecture.0: hidden must name",
        ),
        (
            content(architecture=[{"block": "a"}] * 5000),
            "it must be a list of at most 4,096 entries, each a group of keys",
        ),
        (content(blocks=[{"block": [1]}]), "blocks.0.block"),
        (content(blocks=[{"density": "x" * 1001}]), "blocks.0.density"),
        (content().replace("0.5", "NaN"), "blocks.0.density"),
        (content(architecture=FULL[1:]), "must name every searchable block; network.*is missing .1 in all"),
        (
            content(architecture=[{**FULL[0], "block": "network.s9"}]),
            "'network.s9' is not a searchable block",
        ),
        (
            content(architecture=[{**FULL[0], "tokens": 99}, *FULL[1:]]),
            "tokens in the supernet, so it cannot",
        ),
        (" " * (MAX_BYTES + 1), f"more than the {MAX_BYTES} bytes"),
    ],
)
def test_other_content_is_refused_in_one_sentence(tmp_path, text, message):
    path = tmp_path / "found.json"
    path.write_text(text)
    with pytest.raises(ModelError, match=message) as caught:
        read_architecture(path)
    assert len(str(caught.value).splitlines()) == 1
    assert str(path) in str(caught.value)


def test_a_missing_file_a_folder_and_a_pipe_are_refused(tmp_path):
    with pytest.raises(ModelError, match="cannot be read: No such file"):
        read_architecture(tmp_path / "absent.json")
    os.mkfifo(tmp_path / "pipe.json")
    for path in (tmp_path, tmp_path / "pipe.json"):
        with pytest.raises(ModelError, match=f"{path} cannot be read: it is not a regular file"):
            read_architecture(path)
