"""Sparse retraining: which ticket is taken, and what it is said to have cost."""

from dataclasses import dataclass
from typing import Any

from lottery_pipeline.parameters import SparseRetrainingParameters
from lottery_pipeline.pipelines.sparse_retraining.nodes import select_ticket
from lottery_pipeline.pipelines.sparse_retraining.pipeline import create_pipeline


@dataclass
class Ladder:
    rows: list[dict[str, Any]]

    def ticket(self, rung: int) -> str:
        return f"rung {rung}"


LADDER = Ladder([{"epochs": 4.0, "seconds": 1.0}, {"epochs": 3.0, "seconds": 2.0}])
SEARCH = {"search_epochs": 7.0, "measured": {"search_seconds": 3.0}}


def test_without_a_rung_the_ticket_itself_is_taken() -> None:
    assert select_ticket("ticket", LADDER, SEARCH, SparseRetrainingParameters()) == ("ticket", SEARCH)
    assert select_ticket("ticket", None, None, SparseRetrainingParameters()) == ("ticket", {})


def test_a_rung_costs_the_rounds_before_it() -> None:
    ticket, costs = select_ticket("ticket", LADDER, SEARCH, SparseRetrainingParameters(rung=1))
    assert ticket == "rung 1"
    assert costs == {"search_epochs": 4.0, "measured": {"search_seconds": 1.0}}


def test_nothing_of_the_methods_is_overwritten() -> None:
    assert all(name.startswith("sparse_retraining.") for name in create_pipeline().all_outputs())
