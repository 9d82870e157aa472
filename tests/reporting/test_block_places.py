from lottery_pipeline.models.supernet.layout import lay_out
from lottery_pipeline.models.supernet.presets import PRESETS
from lottery_pipeline.reporting.block_places import HALF, place_blocks
from tests.reporting.records import make_blocks

NAMES = [row["block"] for row in make_blocks()[:-1]]


def place(preset: str, side: int):
    blocks = lay_out(PRESETS[preset], (side, side))
    return [name.removeprefix("network.") for name in blocks]


def test_every_block_of_every_preset_has_one_place():
    for preset, side in (("digits8", 8), ("canvas32", 32), ("cifar", 32), ("hrnas", 224)):
        names = place(preset, side)
        places = place_blocks(names)
        assert sorted([*places.boxes, *places.paths]) == sorted(names)
        assert len(set(places.boxes.values())) == len(places.boxes), "no box hides another"
        assert len(set(places.paths.values())) == len(places.paths), "no path hides another"


def test_branches_are_rows_and_stages_follow_from_the_left():
    places = place_blocks(NAMES)
    assert places.branches == 2
    assert list(places.stages) == ["s1", "s2", "head"]
    assert sorted(places.stages.values()) == list(places.stages.values())
    first, second = (places.boxes[f"stages.s2.branch{branch}.block1"] for branch in (1, 2))
    assert first[0] == second[0]
    assert (first[1], second[1]) == (-1, -2)


def test_a_new_branch_is_reached_from_one_that_is_fused_already():
    places = place_blocks(NAMES)
    (start, end) = places.paths["stages.s2.fuse.from1_to2"]
    assert start == places.paths["stages.s2.fuse.from1_to1"][1]
    assert (end[0], end[1]) == (start[0], -2)


def test_a_branch_that_exists_is_reached_from_the_stage_before():
    places = place_blocks(place("hrnas", 224))
    start, end = places.paths["stages.s5.fuse.from3_to2"]
    assert start[0] < end[0]
    assert (start[1], end[1]) == (-3, -2)


def test_wires_leave_room_for_boxes():
    places = place_blocks(NAMES)
    for x, y in places.boxes.values():
        covering = [
            ends for ends in places.wires if ends[0][1] == ends[1][1] == y and ends[0][0] < x < ends[1][0]
        ]
        assert covering == []
        assert any(abs(ends[1][0] - (x - HALF)) < 1e-9 and ends[1][1] == y for ends in places.wires)


def test_a_head_of_one_block_reads_all_branches():
    places = place_blocks(place("canvas32", 32))
    x, y = places.boxes["head.transform"]
    assert y == -1
    assert places.end[0] > x
    reading = [ends for ends in places.wires if ends[1] == (x - 1.0, -1)]
    assert {start[1] for start, _ in reading} == {-1, -2}


def test_the_last_branch_leads_to_the_classifier():
    assert place_blocks(NAMES).end[1] == -2


def test_a_name_of_no_supernet_has_no_place():
    places = place_blocks(["conv1", "stages.s1.branch1"])
    assert (places.boxes, places.paths, places.stages) == ({}, {}, {})
