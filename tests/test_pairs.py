"""Two runs at the same time: each is right or refused, and no result is a mixture of both."""

import os
import random
import time
from pathlib import Path
from typing import Any

import pytest

from lottery_pipeline.options.methods import METHODS
from lottery_pipeline.tickets import Ticket
from tests.forked_runs import REFUSED, Server, serving
from tests.kedro_project import load_catalog, redirected, run

# `PAIR_TRIES=50 make test-slow ARGS="-k pairs"` tries more.
TRIES = int(os.environ.get("PAIR_TRIES", "4"))
SLOW = {"cts": {"extraction": {"density": 0.5, "length": 60}}}
FAST = {"cts": {"extraction": {"density": 0.1, "length": 1}}}
PAUSES = (0, 0, 0.1, 0.3, 1)  # seconds between the starts

Run = tuple[str, dict[str, Any]]


def check_results(folder: Path, method: str, variant: str) -> None:
    """The records of a method are those of its ticket."""
    with redirected(folder):
        catalog = load_catalog(variant=variant)
        ticket, trained = catalog.load(f"{method}.ticket"), catalog.load(f"{method}.trained_ticket")
        metrics, search = catalog.load(f"{method}.metrics"), catalog.load(f"{method}.search")
        history, record = catalog.load(f"{method}.history"), catalog.load(f"{method}.record")
        dense, images = catalog.load("dense_run"), catalog.load("images")
    if METHODS[method].own_network:
        dense = catalog.load(f"{method}.parent_run")
    assert (metrics["ticket"], metrics["fingerprint"]) == (ticket.fingerprint, trained.fingerprint)
    assert (metrics["kept"], metrics["density"]) == (ticket.kept, ticket.density)
    assert metrics["seed"] == ticket.header.seed
    assert trained.header.parents["ticket"] == search["ticket"] == ticket.fingerprint
    assert {row["ticket"] for row in history} == {trained.fingerprint}
    assert metrics["search_epochs"] == search["search_epochs"]
    assert record["metrics"] == metrics
    assert ticket.header.parents["dense"] == dense.fingerprint
    assert ticket.header.parents["images"] == dense.images_fingerprint == images.fingerprint


def check_all_results(folder: Path, pipeline: str, variant: str) -> None:
    """What a pipeline has written belongs together."""
    if pipeline == "signature_embedding":
        check_signature(folder)
    elif pipeline == "robustness_evaluation":
        check_evaluation(folder)
    else:
        check_results(folder, pipeline, variant)


def check_signature(folder: Path) -> None:
    """The mark, the signed ticket, the trained one, and the published one are those of one run."""
    with redirected(folder):
        catalog = load_catalog()
        mark, ticket, trained, release = (
            catalog.load(f"signature_embedding.{name}")
            for name in ("mark", "ticket", "trained_ticket", "release")
        )
    assert mark["ticket"] == ticket.fingerprint == trained.header.parents["ticket"]
    assert mark["groups"] == sum(count for _, count in release.bundle.commitment.code.groups)
    assert release.ticket.fingerprint == trained.fingerprint


def check_evaluation(folder: Path) -> None:
    """The ticket that was measured is a stored one, of before or of now, and its numbers are its own."""
    with redirected(folder):
        catalog = load_catalog()
        evaluation, table = catalog.load("robustness_evaluation.evaluation"), catalog.load("robustness")
    files = folder.glob("data/06_models/test/base/cts/trained_ticket.safetensors/**/*.safetensors")
    kept = {ticket.fingerprint: ticket.kept for ticket in map(Ticket.load, filter(Path.is_file, files))}
    measured = {row["method"]: row for row in evaluation["networks"]}
    assert kept[measured["cts"]["fingerprint"]] == measured["cts"]["kept"]
    assert len(table) == len(evaluation["rows"])


def check_pair(server: Server, folder: Path, pair: tuple[Run, Run], pause: float) -> int:
    """Let two runs work at the same time; return how many were refused."""
    folder.mkdir(exist_ok=True)
    pids = []
    for number, (method, params) in enumerate(pair):
        log = folder / f"log{number}"
        log.unlink(missing_ok=True)
        pids.append(server.start(folder, log, method, **params))
        time.sleep(pause if number == 0 else 0)
    statuses = [server.wait(pid) for pid in pids]
    logs = [(folder / f"log{number}").read_text() for number in range(2)]
    for (method, params), status, log in zip(pair, statuses, logs, strict=True):
        assert status in (0, REFUSED), log
        if status == REFUSED:
            assert "Error: Another run" in log, log
        else:
            check_all_results(folder, method, params.get("variant", "base"))
    assert 0 in statuses, logs
    assert not any(path.read_text() for path in folder.glob("data/work/test/*/locks/*"))
    unfinished = [*folder.glob("data/**/*.tmp"), *folder.glob("data/work/**/*.safetensors")]
    assert not unfinished
    return statuses.count(REFUSED)


def draw_pairs(kind: str, generator: random.Random) -> tuple[Run, Run]:
    """Draw two runs: of one variant, of two, or of two methods that share a dense run made meanwhile."""
    cts = ("cts", generator.choice((SLOW, FAST))), ("cts", generator.choice((SLOW, FAST)))
    if kind == "one variant":
        return cts
    if kind == "two variants":
        first, second = cts
        return ("cts", first[1] | {"variant": "one"}), ("cts", second[1] | {"variant": "two"})
    methods = generator.sample(("cts", "snip", "ltr"), 2)
    # Another seed, so that images and dense run are others than those of the try before.
    seed = {"seed": generator.randrange(1000)}
    return (methods[0], FAST | seed), (methods[1], FAST | seed)


@pytest.mark.slow
@pytest.mark.timeout(60 + 200 * TRIES)
@pytest.mark.parametrize("kind", ["one variant", "two variants", "two methods"])
def test_pairs_of_runs_are_each_right_or_refused(kind: str, tmp_path: Path) -> None:
    generator = random.Random(0)
    with serving() as server:
        refused = [
            check_pair(server, tmp_path / "runs", draw_pairs(kind, generator), generator.choice(PAUSES))
            for _ in range(TRIES)
        ]
    # The second of one variant may start when the first has ended; two variants never disturb each other.
    assert any(refused) == (kind == "one variant") or kind == "two methods"


# What follows a method, beside itself and beside what writes the ticket that it reads.
LATER = {
    "signatures": [("signature_embedding", {"signature_embedding": {"groups": n}}) for n in (128, 144)],
    "a signature and its ticket": [("signature_embedding", {}), ("cts", FAST)],
    "an evaluation and a ticket of it": [("robustness_evaluation", {}), ("cts", FAST)],
    "SuperTickets": [("supertickets", {"supertickets": {"extraction": {"density": d}}}) for d in (0.3, 0.5)],
}


@pytest.mark.slow
@pytest.mark.timeout(120 + 60 * TRIES)
@pytest.mark.parametrize("kind", LATER)
def test_pairs_of_later_pipelines_are_each_right_or_refused(kind: str, tmp_path: Path) -> None:
    generator = random.Random(1)
    folder = tmp_path / "runs"
    folder.mkdir()
    with redirected(folder):
        run("cts", **SLOW)
    with serving() as server:
        refused = []
        for _ in range(max(TRIES // 2, 1)):
            first, second = generator.sample(LATER[kind], 2)
            refused.append(check_pair(server, folder, (first, second), generator.choice(PAUSES)))
    assert set(refused) <= {0, 1}, "one of the two must get its result"
