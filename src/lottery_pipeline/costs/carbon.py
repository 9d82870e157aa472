"""Carbon: grams of CO2 equivalent of a computation, from its time, power and place.

At constant power, the carbon of two computations has the same ratio as their seconds. A saving of carbon is
then only a saving of time, not a separate finding, so the seconds are always given beside it.
"""

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal

from lottery_pipeline.options.costs import CARBON_INTENSITIES, check_country

Kind = Literal["modelled", "measured"]
_TABLE = "codecarbon 3.3.2, global_energy_mix, year 2023"


@dataclass(frozen=True)
class Carbon:
    """Energy and carbon of a computation.

    Attributes:
        grams: of CO2 equivalent.
        energy_kwh: drawn from the grid, including the overhead of the data centre (PUE).
        seconds: of the computation.
        power_watts: mean power of the machine, without that overhead.
        pue: power usage effectiveness.
        carbon_intensity: g CO2e per kWh.
        kind: ``measured`` if a meter gave the power, else ``modelled``.
        power_source: where the power figure comes from.
        intensity_source: where the carbon intensity comes from.
    """

    grams: float
    energy_kwh: float
    seconds: float
    power_watts: float
    pue: float
    carbon_intensity: float
    kind: Kind
    power_source: str
    intensity_source: str

    @property
    def kilograms(self) -> float:
        """Kilograms of CO2 equivalent."""
        return self.grams / 1000

    def record(self) -> dict[str, Any]:
        """Return plain values by attribute."""
        return asdict(self)


def find_intensity(country: str | None = None, carbon_intensity: float | None = None) -> tuple[float, str]:
    """Return the carbon intensity of electricity, g CO2e/kWh, and where it comes from.

    Args:
        country: three-letter code, or WORLD, to look up.
        carbon_intensity: used as given, instead of a country.

    Raises:
        ValueError: not exactly one is given, the country is not in the table, or the number is negative.
    """
    if (country is None) == (carbon_intensity is None):
        raise ValueError(
            "carbon needs exactly one of country and carbon_intensity (g CO2e/kWh); "
            f"known countries are {', '.join(CARBON_INTENSITIES)}"
        )
    if carbon_intensity is not None:
        return _check("carbon_intensity", carbon_intensity, least=0), "given"
    code = check_country(str(country))
    return CARBON_INTENSITIES[code], f"{code}: {_TABLE}"


def estimate_carbon(
    seconds: float,
    *,
    power_watts: float,
    country: str | None = None,
    carbon_intensity: float | None = None,
    pue: float = 1.0,
    kind: Kind = "modelled",
    power_source: str = "given",
) -> Carbon:
    """Estimate kg CO2e = power / 1000 * hours * PUE * intensity / 1000.

    Args:
        seconds: of the computation.
        power_watts: mean power over that time; there is no default, since the result would then rest on a
            guess.
        country: for the carbon intensity; give either it or the number.
        carbon_intensity: g CO2e/kWh.
        pue: power usage effectiveness of the data centre.
        kind: ``measured`` if the power was read off a meter.
        power_source: where the power figure comes from.

    Raises:
        ValueError: a number is out of range, or no carbon intensity is given; one sentence.
    """
    intensity, intensity_source = find_intensity(country, carbon_intensity)
    seconds = _check("seconds", seconds, least=0)
    power = _check("power_watts", power_watts, least=0)
    pue = _check("pue", pue, least=1)
    energy = power / 1000 * seconds / 3600 * pue
    return Carbon(
        grams=energy * intensity,
        energy_kwh=energy,
        seconds=seconds,
        power_watts=power,
        pue=pue,
        carbon_intensity=intensity,
        kind=kind,
        power_source=power_source,
        intensity_source=intensity_source,
    )


def _check(name: str, value: float, *, least: float) -> float:
    if not (math.isfinite(value) and value >= least):
        raise ValueError(f"{name} must be a finite number of at least {least}, not {value}")
    return float(value)
