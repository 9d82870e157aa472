import itertools

import pytest

from lottery_pipeline.reporting.palette import DENSE_COLOUR, LOOKS, label_control, label_run, look_of


def luminance(colour):
    parts = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(first, second):
    lighter, darker = sorted((luminance(first), luminance(second)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("colour", [*(look.colour for look in LOOKS.values()), DENSE_COLOUR])
@pytest.mark.parametrize("background", ["#ffffff", "#14171c"])
def test_every_colour_stands_out_on_white_and_on_near_black(colour, background):
    assert contrast(colour, background) > 2.8


def test_no_two_methods_share_a_colour_or_a_marker():
    for first, second in itertools.combinations(LOOKS.values(), 2):
        assert first.colour != second.colour
        assert first.symbol != second.symbol


def test_an_unknown_method_gets_the_same_look_every_time():
    assert look_of("my_method") == look_of("my_method")
    assert look_of("my_method").label == "my method"
    assert look_of("my_method").symbol.endswith("-open")


def test_a_run_is_named_beside_its_method_where_the_two_differ():
    assert label_run("ltr", "ltr") == "LTR"
    assert label_run("sparse_retraining", "ltr") == "LTR (sparse retraining)"


def test_a_chain_is_named_after_its_methods_and_coloured_like_its_last():
    look = look_of("layer>cts")
    assert (look.label, look.colour) == ("Layer > CTS", LOOKS["cts"].colour)
    assert look.symbol not in {known.symbol for known in LOOKS.values()}
    assert label_run("layer_cts", "layer>cts") == label_run("layer_cts", "layer_cts") == "Layer > CTS"


def test_controls_have_names_for_people():
    assert label_control("reinitialise") == "new initial weights"
    assert label_control("inverted_mask") == "inverted mask"
