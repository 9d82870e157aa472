"""Options of the cost report: what is measured, and what carbon is computed from."""

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from lottery_pipeline.options.lists import DISTINCT, Group

# g CO2e per kWh of electricity in 2023, as in codecarbon 3.3.2 (global_energy_mix.json and, for WORLD,
# carbon_intensity_per_source.json), by three-letter country code.
CARBON_INTENSITIES: dict[str, float] = {
    "BRA": 98.348,
    "DEU": 380.95,
    "FRA": 56.039,
    "SWE": 40.695,
    "USA": 369.473,
    "WORLD": 475.0,
}


def check_country(country: str) -> str:
    """Return a country code whose carbon intensity is known.

    Raises:
        ValueError: it is not known; one sentence.
    """
    if country not in CARBON_INTENSITIES:
        raise ValueError(
            f"{country!r} is not a country with a known carbon intensity; known are "
            f"{', '.join(CARBON_INTENSITIES)}, and for any other carbon_intensity takes a number (g CO2e/kWh)"
        )
    return country


class CostOptions(Group):
    """Which costs of a ticket are measured, and what its carbon is computed from.

    Carbon is reported if ``country`` or ``carbon_intensity`` is given.

    Attributes:
        latency: whether forward passes are timed.
        batch_sizes: of the timed passes, each at most 4,096 images.
        repeats: timed passes of each network and batch size.
        power_watts: mean power, W. The estimate needs it. For codecarbon it is optional, and replaces
            codecarbon's own figures for processor and memory.
        country: three-letter code, or WORLD, to look the carbon intensity up by.
        carbon_intensity: g CO2e/kWh, instead of a country.
        pue: power usage effectiveness of the data centre, 1 or more.
        tracker: source of the power: ``estimate`` takes the given one, ``codecarbon`` asks the package of
            that name.
    """

    latency: bool = True
    batch_sizes: Annotated[
        tuple[Annotated[int, Field(ge=1, le=4096, strict=True)], ...],
        Field(min_length=1),
        DISTINCT,
    ] = (1, 128)
    repeats: int = Field(default=30, ge=2, le=10_000, strict=True)
    power_watts: float | None = Field(default=None, gt=0, strict=True)
    country: str | None = None
    carbon_intensity: float | None = Field(default=None, ge=0, strict=True)
    pue: float = Field(default=1.0, ge=1, strict=True)
    tracker: Literal["estimate", "codecarbon"] = "estimate"

    @property
    def reports_carbon(self) -> bool:
        """Whether there is an intensity to compute carbon from."""
        return self.country is not None or self.carbon_intensity is not None

    @field_validator("country")
    @classmethod
    def _check_country(cls, country: str | None) -> str | None:
        return None if country is None else check_country(country)

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        if self.country is not None and self.carbon_intensity is not None:
            raise ValueError("country and carbon_intensity both say how clean the power is; give one of them")
        if self.tracker == "estimate" and self.reports_carbon and self.power_watts is None:
            raise ValueError("the estimate of carbon needs power_watts, the mean power in watts")
        if not self.reports_carbon and self.power_watts is not None:
            raise ValueError(
                "power_watts needs country or carbon_intensity to become carbon; give one of them"
            )
        if not self.reports_carbon and self.tracker == "codecarbon":
            raise ValueError("tracker: codecarbon needs country or carbon_intensity; give one of them")
        return self
