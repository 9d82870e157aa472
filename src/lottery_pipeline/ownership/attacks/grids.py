"""The points at which attacks are tried, by the attack's name."""

from itertools import product
from typing import Any, NamedTuple

Point = dict[str, Any]  # the parameters of one try


class Grid(NamedTuple):
    """Where an attack is tried.

    Attributes:
        full: every point of the full study.
        quick: one or two points for a run of seconds.
    """

    full: tuple[Point, ...] = ({},)
    quick: tuple[Point, ...] = ({},)


def cross(**values: tuple[Any, ...]) -> tuple[Point, ...]:
    """Return a point for every combination of the values, the last parameter changing fastest."""
    return tuple(dict(zip(values, chosen, strict=True)) for chosen in product(*values.values()))


_RATES, _LENGTHS = (0.001, 0.01, 0.1), (0.1, 0.33)
_SHARES = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
_TRAININGS = Grid(
    cross(learning_rate=_RATES, epoch_share=_LENGTHS, data_share=(0.1, 1.0)), ({"learning_rate": 0.01},)
)
_BANDS = ((0.75, 1.5), (0.75, 1.0), (1.0, 1.25), (1.25, 1.5))

GRIDS: dict[str, Grid] = {
    "A1": _TRAININGS,
    "A2": _TRAININGS,
    "A3": Grid(
        cross(layers=("last", "all"), fresh_head=(False, True)), ({"layers": "last", "fresh_head": True},)
    ),
    "A4": Grid(cross(learning_rate=_RATES), ({"learning_rate": 0.01},)),
    "A5": Grid(cross(share=_SHARES), cross(share=(0.1, 0.3))),
    "A6": Grid(cross(share=_SHARES), cross(share=(0.3,))),
    "A7": Grid(cross(share=_SHARES[:6]), cross(share=(0.05,))),
    "A8": Grid(cross(share=_SHARES[1:]), cross(share=(0.2,))),
    "A9": Grid(
        cross(share=(0.1, 0.2, 0.3, 0.5), how=("zero", "narrow")),
        cross(share=(0.1,), how=("zero", "narrow")),
    ),
    "A10": Grid(cross(share=(0.05, 0.1, 0.2, 0.3), cycles=(1, 5)), cross(share=(0.1,))),
    "A11": Grid(
        cross(probability=(0.005, 0.01, 0.02, 0.05, 0.1), std=(0.1, 0.01), fine_tuned=(False, True)),
        cross(probability=(0.01,), std=(0.1,)),
    ),
    "A12": Grid(cross(epsilon=(1e-8, 1e-4, 1e-2)), cross(epsilon=(1e-2,))),
    "A13": Grid(cross(scope=("inner", "all"), fine_tuned=(False, True)), cross(scope=("inner", "all"))),
    "A14": Grid(cross(folded=(False, True)), cross(folded=(False, True))),
    "A16": Grid(
        cross(kind=("zero", "split", "clique"), share=(0.05, 0.2)), cross(kind=("split",), share=(0.05,))
    ),
    "A17": Grid(
        (
            *cross(number_type=("int8", "int4"), per_channel=(False, True)),
            *cross(number_type=("float16", "bfloat16")),
        ),
        cross(number_type=("int8", "int4")),
    ),
    "A18": Grid(cross(knows_key=(True, False), learning_rate=_RATES), cross(knows_key=(True, False))),
    "A19": Grid(cross(learning_rate=_RATES), ({"learning_rate": 0.01},)),
    "A22": Grid(
        cross(
            labels=("hard", "soft"),
            queries=(10_000, 45_000),
            architecture=(None, "conv4"),
            sparse=(False, True),
        ),
        cross(labels=("soft",), queries=(10_000,)),
    ),
    "A23": Grid(cross(by=("entropy", "blur", "jpeg", "crop", "flip")), cross(by=("entropy", "jpeg"))),
    "A24": Grid(cross(learning_rate=_RATES, epoch_share=_LENGTHS), ({"learning_rate": 0.01},)),
    "A25": Grid(cross(weight=(0.25, 0.5)), cross(weight=(0.5,))),
    "A27": Grid(
        cross(epsilon=(2 / 255, 8 / 255), learning_rate=(0.001, 0.01), epoch_share=_LENGTHS),
        cross(epsilon=(8 / 255,)),
    ),
    "A28": Grid(cross(share=(0.1, 0.2, 0.3, 0.5)), cross(share=(0.2,))),
    "A29": Grid(cross(strength=(0.1, 1.0, 10.0), epoch_share=_LENGTHS), cross(strength=(1.0,))),
    "A30": Grid(
        cross(smoothing=(0.1, 0.3), learning_rate=(0.001, 0.01), epoch_share=_LENGTHS),
        cross(smoothing=(0.1,)),
    ),
    "A31": Grid(
        tuple(
            {"low": low, "high": high, "fine_tuned": trained}
            for low, high in _BANDS
            for trained in (False, True)
        ),
        cross(low=(0.75,), high=(1.5,), fine_tuned=(True,)),
    ),
}
