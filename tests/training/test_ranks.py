import pytest

from lottery_pipeline.training.ranks import ParallelError, Ranks, read_ranks

NAMES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")


def set_ranks(monkeypatch, *values: str | None) -> None:
    for name, value in zip(NAMES, values, strict=True):
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)


@pytest.mark.parametrize("world", [None, "", "1"])
def test_a_process_is_alone_without_others(monkeypatch, world):
    set_ranks(monkeypatch, "0", world, "0", "1")

    assert read_ranks() is None


def test_torchrun_tells_who_this_is(monkeypatch):
    set_ranks(monkeypatch, "5", "8", "1", "4")

    assert read_ranks() == Ranks(rank=5, world=8, local=1, local_world=4)


@pytest.mark.parametrize(
    ("values", "fault"),
    [
        ((None, "2", "0", "1"), "RANK is not set"),
        (("0", "two", "0", "1"), "WORLD_SIZE is 'two'"),
        (("0", "2", "-1", "1"), "LOCAL_RANK is '-1'"),
        (("2", "2", "0", "1"), "RANK 2 of WORLD_SIZE 2 and"),
        (("0", "2", "3", "3"), "LOCAL_RANK 3 of LOCAL_WORLD_SIZE 3 do not fit"),
    ],
)
def test_a_wrong_place_is_refused_in_one_sentence(monkeypatch, values, fault):
    set_ranks(monkeypatch, *values)

    with pytest.raises(ParallelError, match=f"{fault}.*torchrun --nproc-per-node N -m lottery_pipeline"):
        read_ranks()
