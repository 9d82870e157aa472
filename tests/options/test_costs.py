import subprocess
import sys

import pytest
from pydantic import ValidationError

from lottery_pipeline.options.costs import CARBON_INTENSITIES, CostOptions


def test_the_options_need_no_torch():
    code = "import sys, lottery_pipeline.options.costs; print('torch' in sys.modules)"
    reply = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert reply.stdout.strip() == "False"


def test_latency_is_measured_by_default_and_carbon_is_not_made_up():
    options = CostOptions()
    assert (options.latency, options.batch_sizes, options.repeats) == (True, (1, 128), 30)
    assert (options.pue, options.tracker, options.reports_carbon) == (1.0, "estimate", False)


def test_power_and_place_make_carbon():
    assert CostOptions(power_watts=65, country="BRA").reports_carbon
    assert CostOptions(power_watts=65, carbon_intensity=20).reports_carbon
    assert CostOptions(tracker="codecarbon", country="WORLD").power_watts is None


@pytest.mark.parametrize(("given", "sizes"), [("1 128", (1, 128)), (16, (16,)), ([2, 4], (2, 4))])
def test_batch_sizes_may_come_from_the_command_line(given, sizes):
    assert CostOptions(batch_sizes=given).batch_sizes == sizes


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"batch_sizes": []}, "at least 1 item"),
        ({"batch_sizes": [0]}, "greater than or equal to 1"),
        ({"batch_sizes": "1 many"}, "valid integer"),
        ({"batch_sizes": [8, 8]}, "batch_sizes must not name the same value twice"),
        ({"repeats": 1}, "greater than or equal to 2"),
        ({"power_watts": 0, "country": "FRA"}, "greater than 0"),
        (
            {"power_watts": 65, "country": "ATL"},
            "'ATL' is not a country with a known carbon intensity; known are BRA",
        ),
        ({"power_watts": 65, "carbon_intensity": -1}, "greater than or equal to 0"),
        ({"power_watts": 65, "carbon_intensity": float("inf")}, "finite number"),
        ({"power_watts": 65, "country": "FRA", "carbon_intensity": 56}, "give one of them"),
        ({"country": "FRA"}, "the estimate of carbon needs power_watts"),
        ({"power_watts": 65}, "power_watts needs country or carbon_intensity"),
        ({"tracker": "codecarbon"}, "tracker: codecarbon needs country or carbon_intensity"),
        ({"tracker": "zeus"}, "'estimate' or 'codecarbon'"),
        ({"pue": 0.9}, "greater than or equal to 1"),
        ({"latency": "perhaps"}, "valid boolean"),
        ({"watts": 65}, "Extra inputs"),
    ],
)
def test_a_wrong_option_is_refused_with_its_reason(values, message):
    with pytest.raises(ValidationError, match=message):
        CostOptions(**values)


def test_an_unknown_country_names_all_known_ones_and_the_way_out():
    with pytest.raises(ValidationError) as caught:
        CostOptions(power_watts=65, country="ATL")
    message = caught.value.errors()[0]["msg"]
    assert all(code in message for code in CARBON_INTENSITIES)
    assert "carbon_intensity takes a number" in message
