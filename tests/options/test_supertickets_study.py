"""The arms of the study: what each changes, and which lists of them are valid."""

import pytest
from pydantic import ValidationError

from lottery_pipeline.options import SuperticketOptions
from lottery_pipeline.options.supertickets_study import ARMS, REFERENCE, StudyOptions

EXTRACTION = SuperticketOptions(density=0.1, density_of="supernet")


def difference(arm, extraction=EXTRACTION):
    """What the options of an arm have that those of two-in-one do not."""
    own, reference = (ARMS[name].options(extraction).model_dump() for name in (arm, REFERENCE))
    found = {}
    for part in ("search", "pruning"):
        if own[part] is None:
            found[part] = None
        else:
            found |= {key: value for key, value in own[part].items() if value != reference[part][key]}
    return found


@pytest.mark.parametrize(
    ("arm", "changes"),
    [
        ("search_only", {"pruning": None}),
        ("search_then_prune", {"every": 1_000_000.0}),
        ("prune_then_search", {"start": 0.5, "end": 0.5, "reactivation": "never"}),
        ("random_masks", {"scores": "random"}),
        ("two_in_one", {}),
        ("at_once", {"progressive": False}),
        ("no_reactivation", {"reactivation": "never"}),
        ("at_once_no_reactivation", {"progressive": False, "reactivation": "never"}),
        ("after_prune", {"reactivation": "after_prune"}),
        ("zero", {"pruned_value": "zero"}),
        ("two_in_one_long", {}),
    ],
)
def test_an_arm_changes_what_its_name_says_and_nothing_else(arm, changes):
    assert difference(arm) == changes


def test_what_a_user_has_chosen_stays_but_for_what_the_arms_vary():
    chosen = SuperticketOptions.model_validate(
        {
            "density": 0.3,
            "epochs": 7,
            "search": {"rho": 0.5, "start": 0.4},
            "pruning": {"every": 3.0, "progressive": False, "reactivation": "on_search"},
        }
    )
    options = ARMS["zero"].options(chosen)
    assert (options.density, options.epochs, options.search.rho, options.pruning.every) == (0.3, 7, 0.5, 3.0)
    assert (options.search.start, options.pruning.progressive) == (0.0, True)
    assert (options.pruning.reactivation, options.pruning.pruned_value) == ("every_search", "zero")
    assert ARMS["zero"].options(chosen, 12).epochs == 12


@pytest.mark.parametrize("part", ["search", "pruning"])
def test_an_extraction_without_one_of_the_two_has_nothing_to_vary(part):
    chosen = EXTRACTION.model_copy(update={part: None})
    with pytest.raises(ValueError, match=rf"supertickets\.extraction\.{part} is null"):
        ARMS["two_in_one"].options(chosen)


def test_the_long_arms_are_those_that_are_compared_with_the_retrained_ones():
    assert [name for name, arm in ARMS.items() if arm.is_long] == ["dense_long", "two_in_one_long"]
    assert [name for name, arm in ARMS.items() if arm.changes is None] == ["dense", "dense_long"]
    assert len({arm.label for arm in ARMS.values()}) == len(ARMS)
    assert all(arm.sentence.endswith(".") for arm in ARMS.values())


def test_all_arms_are_the_default_and_a_list_may_be_words():
    assert StudyOptions().arms == tuple(ARMS)
    chosen = StudyOptions.model_validate({"arms": "dense two_in_one", "seeds": "3 4"})
    assert (chosen.arms, chosen.seeds) == (("dense", "two_in_one"), (3, 4))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"arms": ["two_in_one", "zeros"]}, "'zeros' is not a valid arm; allowed are dense, dense_long,"),
        ({"arms": ["dense"]}, "arms must contain two_in_one, which the others are compared with"),
        ({"arms": ["two_in_one", "two_in_one"]}, "arms must not name the same value twice"),
        ({"arms": []}, "at least 1 item"),
        ({"seeds": [-1]}, "greater than or equal to 0"),
        ({"seeds": []}, "at least 1 item"),
        ({"retrained": True}, "Extra inputs are not permitted"),
    ],
)
def test_bad_options_are_refused(values, message):
    with pytest.raises(ValidationError, match=message):
        StudyOptions.model_validate(values)
