"""Options of the methods that learn a mask over epochs: CTS, edge-popup, Gem-Miner."""

from typing import Annotated, Literal

from pydantic import Field

from lottery_pipeline.options.start import Start, StartOptions

Objective = Literal[
    "task_loss",
    "delta_loss",
    "gradient_norm",
    "kl_reverse",
    "kl_forward",
    "feature_mse",
    "gradient_matching",
]
Length = Literal["short", "half", "long"] | Annotated[int, Field(strict=True, ge=1, le=1_000_000)]
SEARCH_LENGTHS = {"short": 0.125, "half": 0.5, "long": 1.0}  # of the training
TRAINING_PASSES = 3.0  # forward passes that a training step is worth
# Cost of a step of CTS in forward passes, counting a backward pass as two, and a backward through a backward
# pass as twice what it goes through.
OBJECTIVE_PASSES: dict[Objective, float] = {
    "task_loss": 3.0,
    "delta_loss": 4.0,
    "gradient_norm": 9.0,
    "kl_reverse": 4.0,
    "kl_forward": 4.0,
    "feature_mse": 4.0,
    "gradient_matching": 12.0,
}


class MaskSearchOptions(StartOptions):
    """A mask that is learnt over epochs while the weights are frozen.

    Attributes:
        length: of the search: ``short``, ``half`` and ``long`` are 1/8, 1/2 and all of the training; or a
            number of epochs.
        learning_rate: of what is learnt.
        batch_size: images of each step; None uses the batch size of the training.
        precision: of the network; what is learnt and its noise are float32.
    """

    length: Length = "half"
    learning_rate: float = Field(default=0.1, gt=0)
    batch_size: int | None = Field(default=None, ge=2, strict=True)
    precision: Literal["float32", "bfloat16"] = "float32"


class CtsOptions(MaskSearchOptions):
    """Concrete Ticket Search.

    Attributes:
        objective: what the search optimises in the sparse network.
        constraint: how the density is held: ``gradbalance``, or a ``lagrange`` multiplier.
        concrete_form: ``tlab``: gate = sigmoid(logit + noise / temperature), as in the authors' code;
            ``standard``: sigmoid((logit + noise) / temperature), as in the textbook.
        temperature: of the gates.
    """

    start: Start = "rewind"
    objective: Objective = "kl_reverse"
    constraint: Literal["gradbalance", "lagrange"] = "gradbalance"
    concrete_form: Literal["tlab", "standard"] = "tlab"
    temperature: float = Field(default=2 / 3, gt=0)


class FrozenWeightOptions(MaskSearchOptions):
    """Masks of networks whose weights are never trained: edge-popup and Gem-Miner.

    Attributes:
        momentum: of SGD.
        weight_decay: of SGD, on what is learnt.
        weights: ``start`` leaves the weights as they are; ``signed_constant`` keeps their signs but sets each
            magnitude to sqrt(2 / fan_in). The ticket starts from these weights.
    """

    length: Length = "long"
    momentum: float = Field(default=0.9, ge=0, lt=1)
    weight_decay: float = Field(default=1e-4, ge=0)
    weights: Literal["start", "signed_constant"] = "start"


class GemMinerOptions(FrozenWeightOptions):
    """Gem-Miner.

    Attributes:
        pruning_epochs: epochs between two prunings of the lowest probabilities.
    """

    pruning_epochs: int = Field(default=5, ge=1, strict=True)
