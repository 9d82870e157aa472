from lottery_pipeline.reporting.sweeps import series as lines
from lottery_pipeline.reporting.sweeps.density_figure import draw_density
from lottery_pipeline.reporting.sweeps.series import list_series
from tests.reporting.sweeps.studies import find_traces, study


def test_settings_have_lines_of_their_own_that_look_the_same_everywhere():
    cells, _ = study(
        seeds=2, experiments=("base", "cifar10"), methods=("ltr", "cts"), start=("rewind", "init")
    )
    looks = {(one.name, one.dash, one.look.symbol) for one in list_series(cells)}
    assert looks == {
        ("LTR (start init)", "solid", "circle"),
        ("LTR (start rewind)", "dash", "circle-open"),
        ("CTS (start init)", "solid", "diamond"),
        ("CTS (start rewind)", "dash", "diamond-open"),
    }


def test_too_many_lines_become_markers_of_their_method(monkeypatch):
    monkeypatch.setattr(lines, "MOST_SERIES", 3)
    cells, _ = study(seeds=2, start=("rewind", "init"))
    found = list_series(cells)
    assert [(one.name, one.dash) for one in found] == [(one.look.label, None) for one in found]
    assert len(found) == 4
    _, (line,) = find_traces(draw_density(cells), "CTS")
    assert line.mode == "markers"
