"""Options of layer tickets: which residual blocks go, and from which weights the others start."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from lottery_pipeline.options.lists import DISTINCT, FROM_WORDS
from lottery_pipeline.options.start import Start

Criterion = Literal["snip", "grasp", "grasp_text", "kl", "cka", "expectabs", "hrank", "random"]
ScoredState = Literal["initial", "rewind", "final"]
OUTPUT_CRITERIA = ("kl", "cka", "expectabs", "hrank")  # compare outputs, which mean little before training


class LayerOptions(BaseModel):
    """Layer tickets: how blocks are ranked, how many go, and where the rest starts.

    Attributes:
        criterion: what blocks are ranked by; of several, ranks are added up. ``grasp_text`` is the paper's
            wording, theta g summed over a block: with batch norm 0 but for rounding, so a comparison only.
        removed: number of blocks to remove; 0 leaves the network whole, also one without residual blocks.
        mac_budget: share of the dense network's multiply-accumulates that may remain; blocks go, the
            least important first, until it is met. Exactly one of the two is given.
        state: weights that scores are taken at: theta_0, theta_k or theta_T. ``by_criterion`` takes theta_T
            for kl, cka, expectabs and hrank, and for all if the search is iterative; else theta_0.
        aggregation: of the scores of weights in a block (snip, grasp): ``mean`` is per weight.
        rewinding: ``weights``: the kept weights of the start point, trained from there;
            ``learning_rate``: those the search ended with (theta_T, or fine-tuned), through the whole
            schedule again; ``reinit``: fresh ones.
        start: theta_0 or theta_k; for ``rewinding: weights`` alone.
        iterative: remove one block, fine-tune, score anew, and so on; else all go at once, as in the paper.
        fine_tuning_epochs: after each removal but the last, behind which retraining comes.
        fine_tuning_rate: learning rate of the fine-tuning, constant.
        min_blocks_per_stage: fewer are never left; the next least important block goes instead.
        allow_first_block_of_stage1: let it go where its shortcut is the identity.
        images_per_class: training images drawn of each class.
        batch_size: images at once.
        batch_statistics: batch norm normalises by the batch. Criteria of outputs do so only where there are
            no running averages yet: before training.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    criterion: Annotated[tuple[Criterion, ...], Field(min_length=1), FROM_WORDS, DISTINCT] = ("grasp",)
    removed: int | None = Field(default=None, ge=0, le=1024, strict=True)
    mac_budget: float | None = Field(default=None, gt=0, lt=1, strict=True)
    state: Literal["by_criterion", "initial", "rewind", "final"] = "by_criterion"
    aggregation: Literal["sum", "mean"] = "sum"
    rewinding: Literal["weights", "learning_rate", "reinit"] = "weights"
    start: Start = "initial"
    iterative: bool = False
    fine_tuning_epochs: int = Field(default=1, ge=1, le=1_000_000, strict=True)
    fine_tuning_rate: float = Field(default=0.01, gt=0)
    min_blocks_per_stage: int = Field(default=2, ge=1, le=1024, strict=True)
    allow_first_block_of_stage1: bool = False
    images_per_class: int = Field(default=10, ge=1, strict=True)
    batch_size: int = Field(default=256, ge=2, strict=True)
    batch_statistics: bool = True

    def state_of(self, criterion: Criterion) -> ScoredState:
        """Return at which weights of the dense run a criterion is taken."""
        if self.state != "by_criterion":
            return self.state
        return "final" if self.iterative or criterion in OUTPUT_CRITERIA else "initial"

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        if (self.removed is None) == (self.mac_budget is None):
            raise ValueError("exactly one of removed and mac_budget must be given, the other left out")
        if self.start != "initial" and self.rewinding != "weights":
            raise ValueError(
                f"start: {self.start} belongs to rewinding: weights; "
                f"with rewinding: {self.rewinding} training begins at step 0, so leave start out"
            )
        return self
