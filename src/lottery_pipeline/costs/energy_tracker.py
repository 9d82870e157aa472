"""Energy from codecarbon (optional extra ``carbon``): offline, without files, and loud when it fails.

codecarbon never measures the power of the memory; it models it. So the result is tagged ``modelled`` even on
a machine whose processor or GPU has a meter.
"""

import logging
import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from lottery_pipeline.costs.carbon import Carbon, find_intensity
from lottery_pipeline.options.numerals import write_number

_INTERVAL_SECONDS = 1.0

T = TypeVar("T")


class EnergyTrackerError(RuntimeError):
    """A tracker that is not installed, or that gave no number."""


def track_energy(
    run: Callable[[], T],
    *,
    country: str | None = None,
    carbon_intensity: float | None = None,
    power_watts: float | None = None,
    pue: float = 1.0,
    clock: Callable[[], float] = time.perf_counter,
) -> tuple[T, Carbon]:
    """Run something while codecarbon watches the machine, other processes included.

    Carbon is the energy times the intensity of our own table, so that it can be compared with
    ``estimate_carbon``; codecarbon itself would use the world average for a country it does not know. Runs
    below 0.1 s are too short for codecarbon.

    Args:
        run: called once; its exceptions pass through.
        country: for the carbon intensity; give either it or the number.
        carbon_intensity: g CO2e/kWh.
        power_watts: constant power of processor and memory; None leaves both to codecarbon. NVIDIA and AMD
            GPUs are read and added.
        pue: power usage effectiveness of the data centre.
        clock: seconds.

    Returns:
        What ``run`` returned, and its carbon.

    Raises:
        EnergyTrackerError: codecarbon is not installed, or failed; its own error is the cause.
        ValueError: no carbon intensity is given, the power is not above 0, or the PUE is below 1.
    """
    intensity, intensity_source = find_intensity(country, carbon_intensity)
    if power_watts is not None and not (math.isfinite(power_watts) and power_watts > 0):
        raise ValueError(f"power_watts must be a finite number above 0, not {power_watts}")
    if not (math.isfinite(pue) and pue >= 1):
        raise ValueError(f"pue must be a finite number of at least 1, not {pue}")
    codecarbon = _import_codecarbon()
    with _caught_failures() as failures:
        tracker = _tracker_class(codecarbon)(
            measure_power_secs=_INTERVAL_SECONDS,
            output_methods=[],
            # A forced power of the processor is scaled by its load; that of the memory is used as given.
            force_cpu_power=None if power_watts is None else 0.0,
            force_ram_power=power_watts,
            force_carbon_intensity_g_co2e_kwh=intensity,
            pue=pue,
            emissions_endpoint=None,
            allow_multiple_runs=True,
            log_level="warning",
        )
        tracker.start()  # first inspects the machine, which takes seconds
        started = clock()
        try:
            result = run()
        finally:
            seconds = clock() - started
            kilograms = tracker.stop()
    energy: Any = getattr(getattr(tracker, "final_emissions_data", None), "energy_consumed", None)
    if not (_is_number(kilograms) and _is_number(energy)):
        cause = failures[-1] if failures else None
        raise EnergyTrackerError(
            f"codecarbon gave no number ({'no reason given' if cause is None else repr(cause)}); "
            "choose tracker: estimate"
        ) from cause
    watched = "its choice for this machine"
    if power_watts is not None:
        watched = f"{write_number(power_watts)} W given, GPUs read"
    return result, Carbon(
        grams=float(kilograms) * 1000,
        energy_kwh=float(energy),
        seconds=seconds,
        power_watts=float(energy) / pue * 3.6e6 / seconds if seconds else 0.0,
        pue=pue,
        carbon_intensity=intensity,
        kind="modelled",
        power_source=f"codecarbon {codecarbon.__version__}: {watched}",
        intensity_source=intensity_source,
    )


def _import_codecarbon() -> Any:
    try:
        import codecarbon
    except ImportError as error:
        raise EnergyTrackerError(
            'tracker: codecarbon needs the extra "carbon": pip install "lottery_pipeline[carbon]"'
        ) from error
    return codecarbon


def _tracker_class(codecarbon: Any) -> Any:
    """Make an offline tracker that measures in one thread at a time.

    codecarbon 3.3 measures once per interval in its own thread, and once more in ``stop``. Without the lock,
    both could count the same interval.
    """
    lock = threading.Lock()

    class Tracker(codecarbon.OfflineEmissionsTracker):
        def _measure_power_and_energy(self) -> None:
            with lock:
                super()._measure_power_and_energy()

    return Tracker


@contextmanager
def _caught_failures() -> Iterator[list[BaseException]]:
    """Collect the exceptions that codecarbon logs instead of raising, and keep its log quiet."""
    failures: list[BaseException] = []

    def collect(record: logging.LogRecord) -> bool:
        if record.exc_info and record.exc_info[1] is not None:
            failures.append(record.exc_info[1])
        return False

    logger = logging.getLogger("codecarbon")
    logger.addFilter(collect)
    try:
        yield failures
    finally:
        logger.removeFilter(collect)


def _is_number(value: object) -> bool:
    return isinstance(value, float | int) and math.isfinite(value)
