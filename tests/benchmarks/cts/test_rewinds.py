"""The rewind point as a factor: one column for every start, differences paired by seed."""

import json

from benchmarks.cts import rewinds
from benchmarks.cts.cts_vs_ltr import read_result


def rows(**accuracies):
    return {
        name: {
            seed: {"test_accuracy": value, "dead_layers": seed, "unconnected_classes": 3}
            for seed, value in by_seed.items()
        }
        for name, by_seed in accuracies.items()
    }


POINTS = {
    0: rows(snip={0: 0.30, 1: 0.34}),
    1: rows(snip={0: 0.40, 1: 0.42}, cts_kl={0: 0.41, 1: 0.45}),
    9: rows(snip={0: 0.50, 2: 0.60}, cts_kl={0: 0.44, 2: 0.48}),
}


def test_the_settings_differ_in_the_rewind_point_alone():
    same = ("images", "recipe", "search_length", "seeds")
    for epoch, (name, start) in rewinds.POINTS.items():
        setting, converged = read_result(name), read_result("converged")
        assert [setting[key] for key in same] == [converged[key] for key in same]
        assert (start, setting["rewind_epoch"]) == (("rewind", epoch) if epoch else ("initial", 1))
    assert list(rewinds.POINTS) == [0, 1, 3, 5, 9]


def test_differences_are_paired_by_seed():
    tables = "\n".join(rewinds.tabulate(POINTS))
    assert "| cts_kl - snip |  | 2.00 ± 12.71 | -9.00 ± 38.12 |" in tables
    assert "| snip | -9.00 ± 12.71 | 0.00 ± 0.00 | 10.00 |" in tables  # against epoch 1; seed 0 has both
    assert "| cts_kl |  | 0.5, 3.0 | 1.0, 3.0 |" in tables


def test_the_order_is_that_of_the_means():
    assert rewinds.list_orders(POINTS).splitlines() == [
        "epoch 0: snip 32.0",
        "epoch 1: cts_kl 43.0, snip 41.0",
        "epoch 9: snip 55.0, cts_kl 46.0",
    ]


def test_the_ladder_from_theta_0_is_that_of_epoch_0(tmp_path):
    found = [
        {"method": "lth", "start": "initial", "rung": 22, "seed": 0, "test_accuracy": 0.5},
        {"method": "lth", "start": "initial", "rung": 18, "seed": 0, "test_accuracy": 0.6},
        {"method": "ltr", "start": "rewind", "rung": 22, "seed": 0, "test_accuracy": 0.7},
    ]
    (tmp_path / "cts_vs_ltr_converged.json").write_text(json.dumps({"rows": found}))
    assert rewinds.read(tmp_path, "converged", "initial") == {"ltr": {0: found[0]}}
    assert rewinds.read(tmp_path, "converged", "rewind") == {"ltr": {0: found[2]}}
    assert rewinds.read(tmp_path, "rewind_3", "rewind") == {}
