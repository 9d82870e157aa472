"""Several attacks in a row, as a thief would run them."""

from torch import nn

from lottery_pipeline.ownership.attacks.equivalence import permute_, scale_
from lottery_pipeline.ownership.attacks.pruning import prune_and_fine_tune
from lottery_pipeline.ownership.attacks.quantisation import quantise_
from lottery_pipeline.ownership.attacks.training import restore_statistics
from lottery_pipeline.ownership.attacks.victim import Victim
from lottery_pipeline.reproducibility.seeds import make_generator


def combine(victim: Victim, *, share: float = 0.2) -> nn.Module:
    """A26: prune and fine-tune (A6), then permute (A13), scale (A14) and quantise to int8 (A17).

    Args:
        victim: stays as it is.
        share: of the remaining weights that are pruned.
    """
    model = prune_and_fine_tune(victim, share=share)
    permute_(model, scope="all", generator=make_generator(victim.seed, "A26", "order"))
    scale_(model, folded=False, generator=make_generator(victim.seed, "A26", "scale"))
    quantise_(model, victim.weights(model), number_type="int8", per_channel=True)
    return restore_statistics(victim, model)
