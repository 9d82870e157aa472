import re

import pytest

from lottery_pipeline.options.scalars import _check_variant
from lottery_pipeline.sweeps.grid import Place, expand
from lottery_pipeline.sweeps.request import SweepError, read_request

BLOCKS = {"cts": ["cts"], "snip": ["snip"], "filter": ["filter"], "saliency": ["snip", "grasp"], "data": []}


def points(*grids: dict[str, object], **request: object) -> list[Place]:
    return expand(read_request("s", {"grid": list(grids), **request}), "base", BLOCKS)


def test_the_points_are_all_combinations() -> None:
    found = points({"pipelines": ["cts", "snip"], "seed": [0, 1], "extraction.density": 0.1})
    assert [place.axes for place in found] == [
        {"pipelines": "cts", "seed": 0, "density": 0.1},
        {"pipelines": "cts", "seed": 1, "density": 0.1},
        {"pipelines": "snip", "seed": 0, "density": 0.1},
        {"pipelines": "snip", "seed": 1, "density": 0.1},
    ]
    assert found[3].parameters == {"seed": 1, "snip.extraction.density": 0.1}


def test_an_option_of_extraction_goes_to_every_method_of_the_pipeline() -> None:
    (place,) = points({"pipelines": "saliency", "extraction.start": "rewind"})
    assert place.parameters == {"snip.extraction.start": "rewind", "grasp.extraction.start": "rewind"}


def test_grids_are_added_and_a_point_of_two_grids_counts_once() -> None:
    found = points({"pipelines": "cts", "seed": [0, 1]}, {"pipelines": ["cts", "filter"], "seed": 1})
    assert [(place.pipelines, place.axes["seed"]) for place in found] == [
        (("cts",), 0),
        (("cts",), 1),
        (("filter",), 1),
    ]


def test_an_axis_goes_before_common_parameters() -> None:
    (place,) = points({"pipelines": "cts", "seed": 3}, params={"seed": 1, "device": "cpu"})
    assert place.parameters == {"device": "cpu", "seed": 3}


def test_experiments_are_an_axis() -> None:
    found = points({"pipelines": "cts", "experiment": ["base", "fashion_mnist"]})
    assert [(place.experiment, place.axes["experiment"]) for place in found] == [
        ("base", "base"),
        ("fashion_mnist", "fashion_mnist"),
    ]


def test_a_list_can_be_a_value() -> None:
    (place,) = points({"pipelines": "cts", "pretraining.milestones": [[2, 4]]})
    assert place.parameters == {"pretraining.milestones": [2, 4]}
    assert place.axes["pretraining.milestones"] == "[2, 4]"


def test_keys_are_names_of_folders_and_differ() -> None:
    names = ["/data/a b", "resnet20", "../x", "x" * 200]
    found = points({"pipelines": "cts", "model.name": names, "seed": [0, 1]})
    keys = [place.key for place in found]
    assert len(set(keys)) == 8
    for key in keys:
        _check_variant(f"{'s' * 40}.{key}")
    assert re.fullmatch(
        r"cts-d0.1-s2-[0-9a-f]{8}", points({"pipelines": "cts", "extraction.density": 0.1, "seed": 2})[0].key
    )


@pytest.mark.parametrize(
    ("grid", "sentence"),
    [
        ({"pipelines": ["cts", "filter"], "extraction.density": [0.1]}, "filter has no option density"),
        ({"pipelines": "data", "extraction.density": 0.1}, "it has no method"),
        ({"pipelines": "ct"}, "There is no pipeline 'ct'"),
        ({"pipelines": "cts", "variant": ["a", "b"]}, "The sweep itself sets parameter variant"),
        ({"pipelines": "cts", "seed and more": 1}, "is not the name of an axis"),
        ({"pipelines": "cts", "seed": list(range(1000)), "device": ["cpu"] * 101}, "101000 points; at most"),
    ],
)
def test_a_bad_grid_is_refused_in_one_sentence(grid: dict[str, object], sentence: str) -> None:
    with pytest.raises(SweepError, match=sentence) as refusal:
        points(grid)
    assert "\n" not in str(refusal.value)
