"""Which rows the study has, which of them comes first, and what each costs."""

from dataclasses import dataclass
from typing import Any

from benchmarks.published.settings import Setting
from lottery_pipeline.options import GraspOptions, RandomOptions, SaliencyOptions, SynflowOptions
from lottery_pipeline.options.mask_search import OBJECTIVE_PASSES, SEARCH_LENGTHS, TRAINING_PASSES

DENSE, SHUFFLED = "dense", "cts_kl_shuffled"
SEARCHES = {"cts_kl": "kl_reverse", "cts_l": "task_loss"}
# Methods without a training: their name in the package, and their options beside density and start.
SCORES: dict[str, tuple[str, type, dict[str, Any]]] = {
    "random_erk": ("random", RandomOptions, {"allocation": "erk"}),
    "snip": ("snip", SaliencyOptions, {}),
    "grasp": ("grasp", GraspOptions, {}),
    "synflow": ("synflow", SynflowOptions, {}),
    "random_uniform": ("random", RandomOptions, {"allocation": "uniform"}),
}
LADDERS = {"ltr": 1, "ltr_every_4th": 4}  # rungs between two trainings
SHORT = "ltr_every_4th"


@dataclass(frozen=True)
class Row:
    """One trained network: a method at 0.8^rung of the weights, from one seed; the dense one has rung 0."""

    method: str
    seed: int
    rung: int

    @property
    def name(self) -> str:
        """Its name, also of its files."""
        return f"{self.method}_{self.rung:02d}_seed{self.seed}"


def density_of(rung: int) -> float:
    """Return 0.8^r with as many digits as it takes to keep floor(0.8^r D) weights."""
    return round(0.8**rung, 12)


def list_rungs(setting: Setting, method: str) -> list[int]:
    """List the rungs that a ladder trains, down to the last of the setting."""
    step, last = LADDERS[method], setting.rungs[-1]
    return list(range(last % step or step, last + 1, step))


def find_need(setting: Setting, row: Row) -> Row | None:
    """Return the row that must be there before this one; None for the dense network."""
    if row.method == DENSE:
        return None
    if row.method == SHUFFLED:
        return Row("cts_kl", row.seed, row.rung)
    if row.method in LADDERS:
        above = [rung for rung in list_rungs(setting, row.method) if rung < row.rung]
        if above:
            return Row(row.method, row.seed, above[-1])
    return Row(DENSE, row.seed, 0)


def order_rows(setting: Setting) -> list[Row]:
    """List all rows, the most valuable first, each behind what it needs.

    First the order of the methods at the headline rung, of the first seed; then the claim with its seeds, and
    the ladder it is compared with; then the rest of that rung, and the other rungs. The ladder with every
    rung, which costs most, is the last.
    """
    first, *later = setting.seeds
    compared = ("random_erk", "snip", "cts_l", SHUFFLED)
    rest = ("grasp", "synflow", "random_uniform")
    top, others = setting.headline, [rung for rung in setting.rungs if rung != setting.headline]
    wanted = [Row(method, first, top) for method in ("cts_kl", *compared, SHORT)]
    wanted += [Row("cts_kl", seed, top) for seed in later]
    wanted += [Row(SHORT, seed, top) for seed in later]
    wanted += [Row(method, seed, top) for method in (*compared, *rest) for seed in setting.seeds]
    for seed in setting.seeds:
        wanted += [Row(m, seed, rung) for rung in others for m in ("cts_kl", *compared, *rest)]
        wanted += [Row(SHORT, seed, setting.rungs[-1])]
    wanted += [Row("ltr", seed, setting.rungs[-1]) for seed in setting.seeds]
    return list(dict.fromkeys(row for one in wanted for row in _with_needs(setting, one)))


def _with_needs(setting: Setting, row: Row) -> list[Row]:
    need = find_need(setting, row)
    return [row] if need is None else [*_with_needs(setting, need), row]


def choose_method(setting: Setting, row: Row) -> tuple[str, Any]:
    """Return the name in the package and the options of a method that is no ladder and no control."""
    density = density_of(row.rung)
    if row.method in SEARCHES:
        return "cts", setting.search_options(density, SEARCHES[row.method])
    name, options, values = SCORES[row.method]
    rounds = {"rounds": setting.synflow_rounds} if name == "synflow" else {}
    return name, options(density=density, start="rewind", **values, **rounds)


def count_epochs(setting: Setting, row: Row) -> dict[str, float]:
    """Return the epochs of ``search`` and of ``train`` that a row takes beyond what it needs.

    A search step with a teacher is worth 4/3 of a training step. Methods without a training count 0 here;
    their rows say how much it was.
    """
    assert setting.recipe.epochs is not None  # both settings count epochs
    whole = float(setting.recipe.epochs)
    if row.method == DENSE:
        return {"search": 0.0, "train": whole}
    search = 0.0
    if row.method in SEARCHES:
        length = SEARCH_LENGTHS[setting.length] if isinstance(setting.length, str) else setting.length / whole
        search = length * whole * OBJECTIVE_PASSES[SEARCHES[row.method]] / TRAINING_PASSES
    return {"search": search, "train": whole - setting.rewind_epoch}
