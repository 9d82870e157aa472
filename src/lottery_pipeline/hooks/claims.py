"""What a run writes: the locks it needs for that, and the sentence for a run that does not get them."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lottery_pipeline import __version__
from lottery_pipeline.reproducibility.fingerprints import fingerprint
from lottery_pipeline.reproducibility.locks import HeldError, Holder, Wanted

if TYPE_CHECKING:
    from kedro.pipeline import Pipeline
    from kedro.pipeline.node import Node

REPORT = "reporting"
REPORTS = (REPORT, "sweep_report")  # both write the page of the variant
# Stages whose work several runs may use at the same time, by tag: what they write, and what parameters
# determine it.
SHARED = {
    "data_preparation": ("the prepared images", ("data", "seed")),
    "dense_pretraining": ("the dense run", ("data", "model", "pretraining", "seed")),
}


def claim_of(node: "Node") -> str:
    """Return the name of the lock on what a node writes: its stage, or its outermost namespace."""
    shared = SHARED.keys() & node.tags
    if shared:
        return min(shared)
    own = str(node.namespace.split(".")[0]) if node.namespace else min(node.tags, default=node.name)
    return REPORT if own in REPORTS else own


def has_workers(run_params: Mapping[str, Any]) -> bool:
    """Whether the nodes of a run are computed by other processes, whose memory it does not see."""
    return "ParallelRunner" in str(run_params.get("runner"))


def find_claims(pipeline: "Pipeline", parameters: Mapping[str, Any]) -> list[Wanted]:
    """Return the locks that a run needs, first those that no other run can share.

    Args:
        pipeline: what to run.
        parameters: those of the run, as plain values.
    """
    claims = []
    for name in {claim_of(node) for node in pipeline.nodes}:
        if name in SHARED:
            what, groups = SHARED[name]
            values = {group: parameters.get(group) for group in groups}
            values["data"] = {**(values["data"] or {}), "storage": None}  # it changes nothing that is shared
            claims.append(Wanted(name, what, fingerprint({"version": __version__, "parameters": values})))
        else:
            claims.append(Wanted(name, "the report" if name == REPORT else f"the results of {name}"))
    return sorted(claims, key=lambda claim: (bool(claim.digest), claim.name))


def describe_refusal(error: HeldError) -> str:
    """Say in one sentence who holds a lock, and what can be done."""
    what = error.wanted.what
    holder = error.holders[0] if error.holders else None
    who = describe_holder(holder)
    if error.survivors:
        pids = ", ".join(map(str, error.survivors))
        return (
            f"The run that writes {what} in this variant ({who}) was killed, but processes it started "
            f"are still running: {pids}; end them, or {advise('they have')}."
        )
    if error.writing:
        return f"Another run is writing {what} in this variant ({who}); {advise()}."
    other = "made with other parameters" if error.wanted.digest else "which this run would write"
    return f"Another run in this variant ({who}) uses {what}, {other}; {advise()}."


def advise(who: str = "it has") -> str:
    """Say what a refused run can do."""
    return f"wait until {who} ended, or give this run a variant of its own with --params variant=NAME"


def describe_holder(holder: Holder | None) -> str:
    """Name a process, its machine and its start."""
    if holder is None:
        return "of an unknown process"
    return f"process {holder.pid} on {holder.host}, started {holder.started}"
