import subprocess
import sys

import pytest
from pydantic import ValidationError

from lottery_pipeline.options import MASK_OPTIONS, ControlOptions, CtsOptions, ImpOptions, SanityOptions


def test_the_options_need_no_torch():
    code = "import sys, lottery_pipeline.options; print('torch' in sys.modules)"
    reply = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert reply.stdout.strip() == "False"


def test_a_density_or_a_number_of_rounds_is_enough():
    assert ImpOptions(density=0.1).rate == 0.2
    assert ImpOptions(rounds=15, scope="layer", layer_rates={"fc": 0.1}).layer_rates == {"fc": 0.1}
    assert ImpOptions(density=1).density == 1


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "exactly one of density and rounds"),
        ({"density": 0.1, "rounds": 3}, "exactly one of density and rounds"),
        ({"density": 0}, "greater than 0"),
        ({"density": 1.5}, "less than or equal to 1"),
        ({"density": "abc"}, "valid number"),
        ({"density": True}, "valid number"),
        ({"density": float("nan")}, "finite number"),
        ({"rounds": -1}, "greater than or equal to 0"),
        ({"rounds": 256}, "less than or equal to 255"),
        ({"rounds": 2.5}, "valid integer"),
        ({"density": 0.1, "rate": 1.0}, "less than 1"),
        ({"density": 0.1, "rate": 0.0}, "a density below 1 needs a rate above 0"),
        ({"density": 1e-9, "rate": 0.01}, "out of reach"),
        ({"density": 0.1, "scope": "row"}, "'global' or 'layer'"),
        ({"density": 0.1, "layer_rates": {"fc": 0.1}}, "layer_rates needs scope: layer"),
        ({"rounds": 3, "scope": "layer", "layer_rates": {"fc": 1.0}}, "less than 1"),
        ({"rounds": 3, "scope": "layer", "layer_rates": {"": 0.1}}, "at least 1 character"),
        ({"density": 0.1, "sparsity": 0.9}, "Extra inputs"),
    ],
)
def test_a_wrong_option_is_refused_with_its_reason(values, message):
    with pytest.raises(ValidationError, match=message):
        ImpOptions(**values)


def test_controls_are_both_kinds_at_the_last_rung_by_default():
    assert ControlOptions() == ControlOptions(kinds=["random_mask", "reinitialise"], rungs=[-1])
    assert ControlOptions(kinds=[]).kinds == ()


def test_lists_of_controls_may_be_words_and_negative_numbers():
    options = ControlOptions(kinds="random_mask", rungs="3 -1")
    assert options == ControlOptions(kinds=["random_mask"], rungs=[3, -1])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"kinds": ["shuffle"]}, "'random_mask' or 'reinitialise'"),
        ({"kinds": ["random_mask", "random_mask"]}, "twice"),
        ({"rungs": [1, 1]}, "twice"),
        ({"rungs": [-2]}, "greater than or equal to -1"),
        ({"rungs": [0.5]}, "valid integer"),
        ({"rung": [1]}, "Extra inputs"),
    ],
)
def test_a_wrong_control_option_is_refused_with_its_reason(values, message):
    with pytest.raises(ValidationError, match=message):
        ControlOptions(**values)


def test_lists_of_sanity_checks_may_be_words_because_a_comma_ends_a_parameter():
    options = SanityOptions(methods="cts snip", checks="shuffle", seeds="0 1 12")
    assert options == SanityOptions(methods=["cts", "snip"], checks=["shuffle"], seeds=[0, 1, 12])
    assert SanityOptions(seeds=3).seeds == (3,)
    assert SanityOptions().checks == ("shuffle", "reinitialise", "inversion", "corrupted_data", "half_data")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"methods": []}, "at least 1 item"),
        ({"methods": "gut"}, "'gut' is not a method that can be checked; allowed are lth, ltr, cts"),
        ({"methods": "cts cts"}, "twice"),
        ({"checks": "invert"}, "'shuffle', 'reinitialise'"),
        ({"seeds": "0 x"}, "valid integer"),
        ({"seeds": [-1]}, "greater than or equal to 0"),
    ],
)
def test_a_wrong_sanity_option_is_refused_with_its_reason(values, message):
    with pytest.raises(ValidationError, match=message):
        SanityOptions(**values)


@pytest.mark.parametrize("length", [0, -1, 1.5, True, "all", "", None, [1]])
def test_a_wrong_length_of_a_search_is_refused_in_one_sentence(length):
    with pytest.raises(ValidationError, match="'short', 'half' or 'long'"):
        CtsOptions(density=0.1, length=length)


@pytest.mark.parametrize("method", MASK_OPTIONS)
@pytest.mark.parametrize("density", [0, -0.1, 1.5, "abc", True, float("nan")])
def test_every_method_refuses_what_is_no_density(method, density):
    with pytest.raises(ValidationError, match="density"):
        MASK_OPTIONS[method](density=density)


@pytest.mark.parametrize("method", MASK_OPTIONS)
def test_every_method_refuses_an_unknown_key(method):
    with pytest.raises(ValidationError, match="Extra inputs"):
        MASK_OPTIONS[method](density=0.5, sparsity=0.5)
