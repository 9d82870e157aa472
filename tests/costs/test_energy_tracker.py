import logging
import socket
import sys
import time
from types import SimpleNamespace

import pytest

from lottery_pipeline.costs.energy_tracker import EnergyTrackerError, track_energy
from lottery_pipeline.options.costs import CARBON_INTENSITIES


@pytest.fixture
def fake(monkeypatch):
    """A codecarbon that draws what it is told to, and keeps a diary."""
    package = SimpleNamespace(__version__="3.3.2", diary=[], kilograms=0.002, energy=0.004, failure=None)

    class Tracker:
        def __init__(self, **options):
            package.options = options
            if package.energy is not None:
                self.final_emissions_data = SimpleNamespace(energy_consumed=package.energy)

        def start(self):
            package.diary.append("start")
            if package.failure is not None:  # as codecarbon does: log and continue
                try:
                    raise package.failure
                except ValueError:
                    logging.getLogger("codecarbon").warning("graceful shutdown", exc_info=True)

        def stop(self):
            package.diary.append("stop")
            return package.kilograms

    package.OfflineEmissionsTracker = Tracker
    monkeypatch.setitem(sys.modules, "codecarbon", package)
    return package


def test_the_result_of_the_run_comes_back_with_its_carbon(fake):
    ticks = iter([10.0, 46.0])
    result, carbon = track_energy(
        lambda: fake.diary.append("run") or "accuracy",
        country="FRA",
        pue=1.25,
        clock=lambda: next(ticks),
    )
    assert result == "accuracy"
    assert fake.diary == ["start", "run", "stop"]
    assert (carbon.grams, carbon.energy_kwh, carbon.seconds) == (2.0, 0.004, 36.0)
    assert carbon.power_watts == pytest.approx(0.004 / 1.25 * 1000 / 0.01)
    assert (carbon.kind, carbon.pue, carbon.carbon_intensity) == ("modelled", 1.25, 56.039)
    assert carbon.power_source == "codecarbon 3.3.2: its choice for this machine"


def test_the_tracker_writes_nothing_and_takes_our_intensity(fake):
    track_energy(lambda: None, carbon_intensity=120.0)
    assert fake.options["output_methods"] == []
    assert fake.options["force_carbon_intensity_g_co2e_kwh"] == 120.0
    assert (fake.options["force_cpu_power"], fake.options["force_ram_power"]) == (None, None)


def test_a_given_power_is_constant(fake):
    _, carbon = track_energy(lambda: None, country="SWE", power_watts=65.0)
    assert (fake.options["force_cpu_power"], fake.options["force_ram_power"]) == (0.0, 65.0)
    assert carbon.power_source == "codecarbon 3.3.2: 65 W given, GPUs read"


@pytest.mark.parametrize("kilograms", [None, float("nan"), "0.1"])
def test_a_tracker_without_a_number_is_an_error(fake, kilograms):
    fake.kilograms = kilograms
    with pytest.raises(
        EnergyTrackerError, match=r"gave no number .*no reason given.* choose tracker: estimate"
    ):
        track_energy(lambda: None, country="FRA")


def test_the_reason_that_codecarbon_logged_is_the_cause(fake, caplog):
    fake.kilograms, fake.energy, fake.failure = None, None, ValueError("no such meter")
    with pytest.raises(EnergyTrackerError, match="no such meter") as caught:
        track_energy(lambda: None, country="FRA")
    assert caught.value.__cause__ is fake.failure
    assert not caplog.records


def test_a_failing_run_passes_through_and_the_tracker_is_stopped(fake):
    def fail():
        raise KeyError("run")

    with pytest.raises(KeyError, match="run"):
        track_energy(fail, country="FRA")
    assert fake.diary == ["start", "stop"]
    assert not logging.getLogger("codecarbon").filters


def test_without_the_package_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "codecarbon", None)
    with pytest.raises(EnergyTrackerError, match=r'needs the extra "carbon".*lottery_pipeline\[carbon\]'):
        track_energy(lambda: None, country="FRA")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "exactly one of country and carbon_intensity"),
        ({"country": "ATL"}, "'ATL' is not a country"),
        ({"country": "FRA", "power_watts": 0.0}, "power_watts must be a finite number above 0"),
        ({"country": "FRA", "pue": 0.5}, "pue must be a finite number of at least 1"),
    ],
)
def test_wrong_options_are_refused_before_the_run(fake, options, message):
    with pytest.raises(ValueError, match=message):
        track_energy(lambda: fake.diary.append("run"), **options)
    assert fake.diary == []


def test_the_real_tracker_has_the_energy_of_its_power_without_network_or_file(monkeypatch, tmp_path, capfd):
    import codecarbon  # noqa: F401 (with all it imports, before the network is gone)

    calls = []

    def refuse(*arguments, **_):
        calls.append(arguments)
        raise OSError("the network is blocked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("codecarbon.core.gpu.is_nvidia_system", lambda: False)
    monkeypatch.setattr("codecarbon.core.gpu.is_rocm_system", lambda: False)
    _, carbon = track_energy(lambda: time.sleep(1.0), carbon_intensity=500.0, power_watts=2_000.0, pue=1.5)
    assert carbon.energy_kwh == pytest.approx(2 * 1.5 * carbon.seconds / 3600, rel=0.2)
    assert carbon.power_watts == pytest.approx(2_000, rel=0.2)
    assert carbon.kilograms == pytest.approx(carbon.energy_kwh * 0.5)
    assert calls == []
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr().err == ""


def test_an_interval_that_is_measured_when_the_run_ends_counts_once(monkeypatch):
    from codecarbon.emissions_tracker import BaseEmissionsTracker

    measure = BaseEmissionsTracker._do_measurements

    def measure_slowly(self):
        measure(self)
        time.sleep(0.6)  # the interval's second ends 0.4 s into the run, its measurement 1.0 s into it

    monkeypatch.setattr(BaseEmissionsTracker, "_do_measurements", measure_slowly)
    _, carbon = track_energy(lambda: time.sleep(0.7), country="FRA", power_watts=2_000.0)
    assert carbon.power_watts < 2_000


def test_a_failure_inside_the_real_tracker_surfaces(monkeypatch):
    def fail(_):
        raise ValueError("the meter is broken")

    monkeypatch.setattr("codecarbon.emissions_tracker.BaseEmissionsTracker._do_measurements", fail)
    with pytest.raises(EnergyTrackerError, match="the meter is broken"):
        track_energy(lambda: time.sleep(0.1), country="FRA", power_watts=10.0)


def test_our_intensities_are_those_of_codecarbon():
    from codecarbon.input import DataSource

    source = DataSource()
    mix = source.get_global_energy_mix_data()
    theirs = {code: mix[code]["carbon_intensity"] for code in CARBON_INTENSITIES if code != "WORLD"}
    world = source.get_carbon_intensity_per_source_data()["world_average"]
    assert {**theirs, "WORLD": world} == CARBON_INTENSITIES
