"""Lists of parameters, written as words."""

from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import pytest
from kedro.framework.cli.project import run as kedro_run
from omegaconf import OmegaConf

from lottery_pipeline.models.supernet.config import Supernet
from lottery_pipeline.options.lists import Group, TextWithBlanks, list_members, read_lists
from lottery_pipeline.parameters import GROUPS, check_parameters
from tests.options.parameter_fields import FIELDS, find_models, walk
from tests.test_parameters import SOUND as PARAMETERS

SOUND = {
    **PARAMETERS,
    "pretraining": {"epochs": 10, "rewind_epoch": 2, "schedule": "step", "milestones": [3, 5]},
    "layer_ltr": {"extraction": {"density": 0.5, "scope": "layer"}},
}
LISTS = [
    (path, kind)
    for path, kind in [*FIELDS, *walk(Supernet, "supernet")]
    if any(get_origin(member) in (list, tuple) for member in list_members(kind))
    and not list(find_models(kind))
]
TABLES = [path for path, kind in FIELDS if any(get_origin(part) is dict for part in list_members(kind))]


def sample(kind: Any) -> list[Any]:
    """Two entries that a list may have."""
    (found,) = [part for part in list_members(kind) if get_origin(part) in (list, tuple)]
    (entry,) = list_members(get_args(found)[0])
    if get_origin(entry) is Literal:
        return list(get_args(entry)[:2])
    return {int: [3, 4], float: [0.5, 80], str: ["fc", "layer1.*"], Path: ["a.pem", "b.pem"]}[entry]


def test_every_group_in_the_parameters_reads_words() -> None:
    kinds = [*GROUPS.values(), *(kind for _, kind in FIELDS)]
    models = {model for kind in kinds for model in find_models(kind)}
    assert len(models) > 30
    assert [model.__name__ for model in models if not issubclass(model, Group)] == []


def test_the_lists_are_found() -> None:
    paths = {path for path, _ in LISTS}
    assert {"model.ignore_layers", "pretraining.milestones", "retraining.milestones"} <= paths
    assert {"supernet.kernel_sizes", "supernet.attention.branches", "ltr.controls.rungs"} <= paths
    assert set(TABLES) >= {"lth.extraction.layer_rates", "supertickets.extraction.supernet"}


@pytest.mark.parametrize(("path", "kind"), LISTS, ids=[path for path, _ in LISTS])
def test_every_list_may_be_words_with_blanks_or_commas_in_brackets_or_alone(path: str, kind: Any) -> None:
    first, second = sample(kind)
    for text in ("{} {}", "{},{}", "{}, {}", "[{}, {}]", "[{} {}]", " ({},{},) "):
        assert read_lists(kind, text.format(first, second)) == [first, second], text
    assert read_lists(kind, [first, second]) == [first, second]
    assert read_lists(kind, str(first)) == read_lists(kind, first) == [first]
    assert read_lists(kind, "") == read_lists(kind, "[]") == read_lists(kind, []) == []


def test_nothing_is_an_empty_list_unless_null_means_something_else() -> None:
    assert read_lists(tuple[int, ...], None) == []
    assert read_lists(tuple[int, ...] | None, None) is None


def test_a_word_that_stands_for_itself_stays() -> None:
    kind = Literal["all"] | tuple[int, ...]
    assert read_lists(kind, "all") == "all"
    assert read_lists(kind, "1 2") == [1, 2]


def test_numbers_are_read_as_numbers_and_the_names_of_layers_as_text() -> None:
    assert read_lists(tuple[int, ...], "3 -1") == [3, -1]
    assert read_lists(tuple[float, ...], ".5 1e-3 -2 80") == [0.5, 0.001, -2, 80]
    assert read_lists(tuple[str, ...], "0 fc 1.10") == ["0", "fc", "1.10"]
    assert read_lists(tuple[str, ...], [0, "fc"]) == ["0", "fc"]
    assert read_lists(tuple[float, ...], "8/255 x") == ["8/255", "x"]  # for the type to judge


def test_lists_of_fixed_length_and_nested_lists_are_read() -> None:
    assert read_lists(tuple[int, int], "32 24") == [32, 24]
    assert read_lists(tuple[str, int], "fc 3") == ["fc", 3]
    assert read_lists(tuple[tuple[int, ...], ...], "[[1, 2], [3]]") == [[1, 2], [3]]
    assert read_lists(tuple[tuple[int, ...], ...], ["1 2", "3"]) == [[1, 2], [3]]


def test_a_quoted_entry_with_a_blank_stays_whole_where_it_may_be_a_path() -> None:
    assert read_lists(tuple[Path, ...], ["my folder/a.pem"]) == ["my folder/a.pem"]
    assert read_lists(tuple[TextWithBlanks, ...], '["folder:my cats"]') == ["folder:my cats"]
    assert read_lists(tuple[Annotated[str, "a name"], ...], ["fc conv1"]) == ["fc", "conv1"]


@pytest.mark.parametrize(
    "text",
    ["fc=0.1 layer1.0=0.2", "fc: 0.1, layer1.0: 0.2", "{fc: 0.1, layer1.0: 0.2}", "fc:0.1,layer1.0:0.2"],
)
def test_a_dict_may_be_pairs(text: str) -> None:
    assert read_lists(dict[str, float], text) == {"fc": 0.1, "layer1.0": 0.2}


def test_the_dots_in_the_name_of_a_layer_make_no_dict_in_a_dict() -> None:
    assert read_lists(dict[str, float], {"layer1": {"0": {"conv1": 0.1}}, 3: 0.2}) == {
        "layer1.0.conv1": 0.1,
        "3": 0.2,
    }
    assert read_lists(dict[str, tuple[int, ...]], {"a": "1 2", "b": 3}) == {"a": [1, 2], "b": [3]}


def test_what_cannot_be_read_is_left_for_the_type_to_refuse() -> None:
    for kind in (tuple[int, ...], dict[str, float]):
        for value in (True, object):
            assert read_lists(kind, value) is value
    assert read_lists(dict[str, float], "fc") == "fc"
    assert read_lists(tuple[int, ...], {"a": 1}) == {"a": 1}


@pytest.mark.parametrize(
    ("params", "value"),
    [
        ("model.ignore_layers=fc conv1", ("fc", "conv1")),
        ("model.ignore_layers=[fc conv1]", ("fc", "conv1")),
        ("model.ignore_layers=0", ("0",)),
        ("model.ignore_layers=", ()),
        ("retraining.milestones=4 8", (4, 8)),
        ("costs.batch_sizes=[1 32]", (1, 32)),
        ("layer_ltr.extraction.layer_rates=fc=0.1 conv1=0.2", {"fc": 0.1, "conv1": 0.2}),
        ("layer_ltr.extraction.layer_rates.layer1.0=0.1", {"layer1.0": 0.1}),
    ],
)
def test_the_command_line_of_kedro_gives_lists(params: str, value: Any) -> None:
    given = kedro_run.make_context("run", ["--params", params]).params["params"]
    checked = check_parameters(OmegaConf.to_container(OmegaConf.merge(SOUND, given)))
    found: Any = checked
    for key in params.split("=")[0].split(".")[:3]:
        found = found[key] if found is checked else getattr(found, key)
    assert found == value
