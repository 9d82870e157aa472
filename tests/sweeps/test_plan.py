import json

import pytest

from lottery_pipeline.sweeps.request import SweepError
from tests.sweeps.conftest import MakePlan


def test_points_of_a_seed_share_images_and_dense_run(make_plan: MakePlan) -> None:
    plan = make_plan({"pipelines": ["cts", "snip"], "seed": [0, 1], "extraction.density": [0.5, 0.25]})
    assert len(plan.points) == 8
    assert [point.parameters for point in plan.shared] == [{"seed": 0}, {"seed": 1}]
    by_seed = {point.parameters["seed"]: point.variant for point in plan.shared}
    assert all(point.shared == by_seed[point.axes["seed"]] for point in plan.points)


def test_a_point_leaves_out_the_nodes_that_make_what_it_shares(make_plan: MakePlan) -> None:
    (point,) = make_plan({"pipelines": "snip"}).points
    assert point.nodes is not None
    assert [name.split(".")[0] for name in point.nodes] == ["snip"] * len(point.nodes)


def test_a_point_of_a_method_makes_no_tickets_that_match_its_own(make_plan: MakePlan) -> None:
    def blocks(pipelines: str) -> set[str]:
        (point,) = make_plan({"pipelines": pipelines}).points
        return {name.split(".")[0] for name in point.nodes or ()}

    assert blocks("layer") == {"layer"}
    assert blocks("filter") == {"layer", "filter"}


def test_another_recipe_needs_another_dense_run(make_plan: MakePlan) -> None:
    plan = make_plan({"pipelines": "snip", "pretraining.epochs": [2, 3], "retraining.epochs": [2, 3]})
    assert [point.parameters for point in plan.shared] == [
        {"pretraining.epochs": 2},
        {"pretraining.epochs": 3},
    ]


def test_a_fingerprint_covers_what_the_point_reads_and_no_more(make_plan: MakePlan) -> None:
    def prints(**grid: object) -> str:
        return make_plan({"pipelines": "snip", **grid}).points[0].fingerprint

    assert prints() == prints(**{"snip.extraction.density": 0.25})  # as conf/test has it
    assert prints() == prints(**{"grasp.extraction.density": 0.1})
    assert prints() == prints(**{"work.interval_seconds": 99})
    changed = [
        {"snip.extraction.density": 0.1},
        {"seed": 1},
        {"data.train_limit": 48},
        {"model.name": "conv2"},
    ]
    assert len({prints(), *(prints(**grid) for grid in changed)}) == 5


def test_sweeps_of_different_names_share_no_folder(make_plan: MakePlan) -> None:
    first, second = (make_plan({"pipelines": "snip"}, name=name) for name in "ab")
    folders = [{point.variant for point in (*plan.points, *plan.shared)} for plan in (first, second)]
    assert folders[0].isdisjoint(folders[1])
    assert first.points[0].fingerprint == second.points[0].fingerprint


def test_a_pipeline_that_makes_no_dense_run_shares_nothing(make_plan: MakePlan) -> None:
    plan = make_plan({"pipelines": "data_preparation", "seed": [0, 1]})
    assert plan.shared == ()
    assert [(point.shared, point.nodes) for point in plan.points] == [("", None)] * 2


def test_the_file_of_a_plan_says_what_the_report_needs(make_plan: MakePlan) -> None:
    plan = make_plan({"pipelines": "snip", "seed": 7}, title="A question")
    plan.save(tracking="each", run="r1")
    content = json.loads(plan.path.read_text())
    assert plan.path.parts[-4:] == ("07_model_output", "test", "s", "sweep.json")
    assert (content["format"], content["sweep"], content["title"], content["run"]) == (
        1,
        "s",
        "A question",
        "r1",
    )
    (point,) = content["points"]
    assert point["axes"] == {"pipelines": "snip", "seed": 7}
    assert point["variant"] == f"s.{point['key']}"
    assert plan.find_run() == "r1"


def test_a_damaged_plan_has_no_run(make_plan: MakePlan) -> None:
    plan = make_plan({"pipelines": "snip"})
    assert plan.find_run() == ""
    plan.path.parent.mkdir(parents=True)
    plan.path.write_text("{")
    assert plan.find_run() == ""


@pytest.mark.parametrize(
    ("grid", "sentence"),
    [
        ({"sed": [0]}, "sed"),
        ({"seed": [-1]}, "Parameter seed"),
        ({"extraction.density": [2.0]}, r"snip\.extraction\.density"),
        ({"pretraining.epoch": [2]}, "pretraining.epoch.*epochs"),
        ({"experiment": ["nowhere"]}, "There is no experiment 'nowhere'"),
    ],
)
def test_a_bad_point_is_refused_before_anything_starts(
    make_plan: MakePlan, grid: dict[str, object], sentence: str
) -> None:
    with pytest.raises(SweepError, match=sentence):
        make_plan({"pipelines": "snip", **grid})


def test_a_name_is_the_name_of_a_folder(make_plan: MakePlan) -> None:
    with pytest.raises(SweepError, match="cannot be the name of a folder"):
        make_plan({"pipelines": "snip"}, name="../up")
    with pytest.raises(SweepError, match="longer than 40 characters"):
        make_plan({"pipelines": "snip"}, name="x" * 41)
