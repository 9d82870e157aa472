import pytest

from lottery_pipeline.costs.carbon import estimate_carbon, find_intensity


def kilograms(seconds=3600, **changes):
    return estimate_carbon(seconds, **{"power_watts": 100, "carbon_intensity": 500, **changes}).kilograms


def test_an_hour_at_100_watts_and_500_grams_is_50_grams():
    carbon = estimate_carbon(3600, power_watts=100, carbon_intensity=500)
    assert carbon.kilograms == pytest.approx(0.05)
    assert carbon.grams == pytest.approx(50)
    assert carbon.energy_kwh == pytest.approx(0.1)
    assert (carbon.kind, carbon.power_source, carbon.intensity_source) == ("modelled", "given", "given")


def test_the_estimate_is_linear_in_everything():
    assert kilograms(pue=1.5) == pytest.approx(0.075)
    assert kilograms(seconds=7200) == pytest.approx(0.1)
    assert kilograms(power_watts=300) == pytest.approx(0.15)
    assert kilograms(carbon_intensity=50) == pytest.approx(0.005)


def test_no_time_is_no_carbon():
    assert kilograms(seconds=0) == 0


def test_a_country_stands_for_its_intensity_and_is_named():
    carbon = estimate_carbon(3600, power_watts=1000, country="FRA")
    assert carbon.grams == pytest.approx(56.039)
    assert carbon.intensity_source == "FRA: codecarbon 3.3.2, global_energy_mix, year 2023"
    assert find_intensity("WORLD")[0] == 475


def test_a_meter_makes_it_measured():
    carbon = estimate_carbon(
        10, power_watts=80, country="DEU", kind="measured", power_source="wall meter"
    ).record()
    assert (carbon["kind"], carbon["power_source"], carbon["seconds"]) == ("measured", "wall meter", 10)


def test_power_has_no_default():
    with pytest.raises(TypeError, match="power_watts"):
        estimate_carbon(3600, country="FRA")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"carbon_intensity": None}, "exactly one of country and carbon_intensity"),
        ({"country": "FRA"}, "exactly one of country and carbon_intensity"),
        (
            {"carbon_intensity": None, "country": "ATL"},
            "'ATL' is not a country .* BRA, DEU, FRA, SWE, USA, WORLD, and for any other carbon_intensity",
        ),
        ({"carbon_intensity": -1}, "carbon_intensity must be a finite number of at least 0, not -1"),
        ({"power_watts": float("nan")}, "power_watts must be a finite number of at least 0"),
        ({"seconds": -1}, "seconds must be"),
        ({"pue": 0.9}, "pue must be a finite number of at least 1"),
    ],
)
def test_wrong_numbers_are_refused_in_one_sentence(changes, message):
    with pytest.raises(ValueError, match=message):
        kilograms(**changes)
