import pytest

from lottery_pipeline.sweeps.request import SweepError, read_request

GRID = {"pipelines": ["cts"], "seed": [0, 1]}


def test_a_single_grid_is_a_list_of_one() -> None:
    assert read_request("s", {"grid": GRID}).grid == (GRID,)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"grid": []}, "the grid is empty"),
        ({"grid": {}}, "needs the axis pipelines"),
        ({"grid": {"seed": [0]}}, "needs the axis pipelines"),
        ({"grid": {**GRID, "seed": []}}, "axis seed is empty, so the grid has no points"),
        ({"grid": GRID, "worker": 2}, "workers"),
        ({"grid": GRID, "workers": 0}, "sweep mine.workers is 0"),
        ({"grid": GRID, "engine": "dask"}, "local"),
        ({"grid": GRID, "engine": "ray", "address": "head"}, "host:port, such as 10.0.0.1:6379"),
        ({"grid": GRID, "engine": "ray", "address": "ray://head:10001"}, "host:port"),
        ({"grid": GRID, "engine": "ray", "address": "head:65536"}, "host:port"),
        ({}, "grid"),
    ],
)
def test_a_bad_request_is_refused_in_one_sentence(given: dict[str, object], sentence: str) -> None:
    with pytest.raises(SweepError, match=sentence) as refusal:
        read_request("mine", given)
    assert "mine" in str(refusal.value)
    assert "\n" not in str(refusal.value)
