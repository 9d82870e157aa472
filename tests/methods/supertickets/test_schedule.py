"""When a search acts, worked out by hand."""

import pytest

from lottery_pipeline.methods.supertickets.schedule import plan_events, plan_sparsity, rho_factors, solve_rho
from lottery_pipeline.options import SuperticketOptions, UnitSearchOptions, WeightPruningOptions
from lottery_pipeline.tickets.errors import TicketError


def ask(search=None, **pruning) -> SuperticketOptions:
    pruning = {"reactivation": "never", **pruning}
    options = {} if search is None else {"search": search}
    return SuperticketOptions.model_validate({"density": 0.1, "pruning": pruning, **options})


@pytest.mark.parametrize(
    ("epoch", "sparsity"), [(24, None), (25, 0.1), (50, 0.2), (225, 0.9), (325, 0.9), (350, 0.9)]
)
def test_the_published_imagenet_schedule_reaches_90_percent_at_epoch_225_of_350(epoch, sparsity):
    events = plan_events(ask({"every": 10.0}, every=25.0, step=0.1), 350, 0.9)
    found = events[epoch].sparsity if epoch in events else None
    assert found == (None if sparsity is None else pytest.approx(sparsity))


def test_95_percent_takes_one_event_more():
    events = plan_events(ask({"every": 10.0}, every=25.0, step=0.1), 350, 0.95)
    assert events[225].sparsity == pytest.approx(0.9)
    assert events[250].sparsity == 0.95


def test_without_progress_the_first_event_prunes_everything():
    assert plan_sparsity(WeightPruningOptions(progressive=False), 3, 0.9) == [0.9, 0.9, 0.9]


def test_an_automatic_step_reaches_the_end_at_60_percent_of_the_events():
    assert plan_sparsity(WeightPruningOptions(), 5, 0.9) == pytest.approx([0.3, 0.6, 0.9, 0.9, 0.9])


def test_the_last_epoch_ends_with_a_search_and_then_the_whole_pruning():
    events = plan_events(ask({"every": 3.0}, every=4.0), 10, 0.5)
    assert {epoch for epoch, event in events.items() if event.search} == {3, 6, 9, 10}
    assert {epoch for epoch, event in events.items() if event.sparsity is not None} == {4, 8, 10}
    last = events[10]
    assert (last.search, last.sparsity, last.last) == (1.0, 0.5, True)
    assert not events[9].last


def test_a_share_of_the_training_is_rounded_to_whole_epochs_and_is_at_least_one():
    assert set(plan_events(ask({"every": 0.5}, every=0.25), 13, 0.5)) == {3, 6, 9, 12, 13}
    assert len(plan_events(ask({"every": 0.001}, every=0.001), 4, 0.5)) == 4


def test_pruning_may_end_before_the_search_begins():
    events = plan_events(ask({"every": 1.0, "start": 0.5}, every=1.0, end=0.5), 6, 0.5)
    assert [event.sparsity is not None for event in events.values()] == [True, True, True, False, False, True]
    assert [bool(event.search) for event in events.values()] == [False, False, False, True, True, True]


@pytest.mark.parametrize("mode", ["every_search", "on_search"])
def test_reactivation_without_a_step_before_the_next_pruning_is_refused(mode):
    with pytest.raises(TicketError, match="pruned weights would never train again"):
        plan_events(ask({"every": 2.0}, every=2.0, reactivation=mode), 6, 0.5)
    assert plan_events(ask({"every": 1.0}, every=2.0, reactivation=mode), 6, 0.5)


def test_rho_rises_from_0_over_the_warm_up_and_then_stays():
    factors = rho_factors(UnitSearchOptions(rho_warmup=0.25), 100)
    assert factors[0] == 0.0
    assert factors[12] == pytest.approx(12 / 25)
    assert set(factors[25:]) == {1.0}


def test_rho_is_0_before_the_search_starts():
    factors = rho_factors(UnitSearchOptions(rho_warmup=0.2, start=0.5), 10)
    assert factors == [0, 0, 0, 0, 0, 0, 0.5, 1, 1, 1]


def test_automatic_rho_takes_a_scale_to_0_in_60_percent_of_the_steps_with_momentum():
    options = UnitSearchOptions(rho_warmup=0.0)
    # 6 steps of 0.1, each worth ten times as much in the long run: 6 in all.
    rho = solve_rho(options, [0.1] * 10, optimiser="sgd", momentum=0.9)
    assert rho == pytest.approx(1 / 6)
    assert solve_rho(options, [0.1] * 10, optimiser="sgd", momentum=0.0) == pytest.approx(1 / 0.6)


def test_automatic_rho_does_what_it_says_to_a_scale_under_sgd_with_momentum():
    rates, momentum = [0.05] * 400, 0.9
    rho = solve_rho(UnitSearchOptions(rho_warmup=0.1), rates, optimiser="sgd", momentum=momentum)
    gamma, velocity, reached = 1.0, 0.0, None
    for step, (rate, factor) in enumerate(
        zip(rates, rho_factors(UnitSearchOptions(rho_warmup=0.1), 400), strict=True)
    ):
        velocity = momentum * velocity + rho * factor
        gamma -= rate * velocity
        if gamma <= 0 and reached is None:
            reached = step
    assert reached is not None
    assert 0.57 * 400 < reached < 0.65 * 400


def test_automatic_rho_with_adam_is_refused():
    with pytest.raises(TicketError, match=r"rho is auto, which needs .* not adam.*give rho as a number"):
        solve_rho(UnitSearchOptions(), [0.1] * 10, optimiser="adam", momentum=0.9)
    assert solve_rho(UnitSearchOptions(rho=0.2), [0.1] * 10, optimiser="adam", momentum=0.9) == 0.2


def test_automatic_rho_of_two_steps_uses_the_one_that_has_a_pull():
    assert solve_rho(UnitSearchOptions(), [0.5, 0.5], optimiser="sgd", momentum=0.0) == pytest.approx(2.0)
    with pytest.raises(TicketError, match="none of the 1 steps has a pull"):
        solve_rho(UnitSearchOptions(), [0.5], optimiser="sgd", momentum=0.0)
