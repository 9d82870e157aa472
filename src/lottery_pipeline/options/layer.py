"""Options of layer tickets: which residual blocks are removed, and from which weights the others start."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from lottery_pipeline.options.lists import DISTINCT, Group
from lottery_pipeline.options.start import Start

Criterion = Literal["snip", "grasp", "grasp_text", "kl", "cka", "expectabs", "hrank", "random"]
ScoredState = Literal["initial", "rewind", "final"]
OUTPUT_CRITERIA = ("kl", "cka", "expectabs", "hrank")  # compare outputs, which mean little before training


class LayerOptions(Group):
    """Layer tickets: how blocks are ranked, how many are removed, and where the rest starts.

    Attributes:
        criterion: what blocks are ranked by; the ranks of several criteria are added up. ``grasp_text``
            follows the paper's wording, theta g summed over a block. With batch norm that is 0 except for
            rounding, so it is only for comparison.
        removed: number of blocks to remove; 0 leaves the network whole, even one without residual blocks.
        mac_budget: share of the dense network's multiply-accumulates that may remain; the least important
            blocks are removed until it is met. Exactly one of ``removed`` and ``mac_budget`` is given.
        state: weights at which scores are taken: theta_0, theta_k or theta_T. ``by_criterion`` takes theta_T
            for kl, cka, expectabs and hrank, and for every criterion if the search is iterative; otherwise
            theta_0.
        aggregation: how the scores of a block's weights are combined (snip, grasp); ``mean`` is per weight.
        rewinding: what the ticket is trained from. ``weights``: the kept weights of the start point, trained
            from there. ``learning_rate``: the weights at the end of the search (theta_T, or fine-tuned),
            trained through the whole schedule again. ``reinit``: fresh weights.
        start: theta_0 or theta_k; only for ``rewinding: weights``.
        iterative: remove one block, fine-tune, score again, and so on; otherwise remove all at once, as in
            the paper.
        fine_tuning_epochs: after each removal but the last, which is followed by retraining.
        fine_tuning_rate: learning rate of the fine-tuning, constant.
        min_blocks_per_stage: no stage keeps fewer; the next least important block is removed instead.
        allow_first_block_of_stage1: whether it may be removed if its shortcut is the identity.
        images_per_class: training images drawn from each class.
        batch_size: images at once.
        batch_statistics: batch norm normalises by the batch. Criteria that compare outputs do so only before
            training, when there are no running averages yet.
    """

    criterion: Annotated[tuple[Criterion, ...], Field(min_length=1), DISTINCT] = ("grasp",)
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
        """Return the weights of the dense run at which a criterion is taken."""
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
