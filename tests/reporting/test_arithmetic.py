from lottery_pipeline.reporting.arithmetic import list_arithmetic


def test_results_of_equal_arithmetic_stand_together_and_old_ones_say_that_it_was_not_recorded():
    cpu, card = {"device": "cpu", "threads": 2}, {"device": "NVIDIA H200", "convolutions": "tf32"}
    records = {
        "dense": {"metrics": {"arithmetic": cpu}},
        "ltr": {"metrics": {"arithmetic": cpu}},
        "sanity_checks": {"rows": [], "arithmetic": card},
        "snip": {"metrics": {"test_accuracy": 0.9}},
    }
    assert list_arithmetic(records) == {
        "dense, ltr": "device: cpu, threads: 2",
        "sanity_checks": "device: NVIDIA H200, convolutions: tf32",
        "snip": "not recorded",
    }
