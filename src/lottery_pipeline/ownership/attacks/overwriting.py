"""Attacks with a mark of one's own: over the owner's carriers, or beside them."""

from dataclasses import replace

import torch
from torch import nn

from lottery_pipeline.models.classifier import Classifier
from lottery_pipeline.ownership.attacks.training import (
    count_epochs,
    fine_tune,
    measure_gradients,
    restore_statistics,
    zero_pattern,
)
from lottery_pipeline.ownership.attacks.victim import Victim
from lottery_pipeline.ownership.carriers import Groups, place_groups, plan_groups
from lottery_pipeline.ownership.errors import OwnershipError
from lottery_pipeline.ownership.mask_code import Mark, sign_masks
from lottery_pipeline.ownership.signing import hold_carriers
from lottery_pipeline.ownership.statements import PAYLOAD_BYTES
from lottery_pipeline.reproducibility.seeds import make_generator

NEW_STD = 0.1  # of the weights that are switched on, as in the published attacks (arXiv 2111.00162, Table 8)
_KEY_BYTES = 32


def overwrite(
    victim: Victim, *, knows_key: bool, learning_rate: float = 0.01, epoch_share: float = 0.33
) -> nn.Module:
    """A18: switch off the kept carriers of every group, switch on another one of each, and train.

    The number of groups in each layer is no secret. It follows from the masks, signed or not, and from the
    number in the credential. So an insider needs the key alone. Whoever lacks it does the same to the groups
    of a random key.

    Args:
        victim: stays as it is.
        knows_key: whether the groups are the owner's or those of a random key.
        learning_rate: constant.
        epoch_share: length, as a share of the original epochs.

    Raises:
        OwnershipError: the key is asked for but nobody has leaked it, or the mask cannot hold the groups.
    """
    if knows_key and victim.insider is None:
        raise OwnershipError("this attack needs insider, the key of the mark")
    masks = victim.ticket.masks
    key = victim.insider if knows_key and victim.insider is not None else _draw_bytes(victim, "A18", "key")
    model = victim.build()
    _move_carriers_(victim, model, place_groups(key, masks, plan_groups(masks, victim.groups)))
    restore_statistics(victim, model)
    return fine_tune(
        victim,
        model,
        "A18",
        epochs=count_epochs(victim, epoch_share),
        learning_rate=learning_rate,
        masks=zero_pattern(victim.weights(model)),
    )


def over_embed(
    victim: Victim, *, learning_rate: float = 0.01, epoch_share: float = 0.33, margin: float = 0.1
) -> nn.Module:
    """A19: sign the stolen ticket as its owner did, with a key, a payload and a margin of one's own.

    The attacker measures the gradients on his images at the trained weights. The start weights of pruned
    places are unknown to him, so what he switches on begins at N(0, 0.1^2).

    Args:
        victim: stays as it is.
        learning_rate: constant.
        epoch_share: length, as a share of the original epochs.
        margin: strength of the term that holds his carriers.

    Raises:
        OwnershipError: the mask cannot hold a mark of this size.
    """
    masks, model = victim.ticket.masks, victim.build()
    mark = Mark(
        key=_draw_bytes(victim, "A19", "key"),
        payload=_draw_bytes(victim, "A19", "payload")[:PAYLOAD_BYTES],
        planned=plan_groups(masks, victim.groups),
    )
    weights = {name: weight.detach() for name, weight in victim.weights(model).items()}
    marked = sign_masks(masks, mark, measure_gradients(victim, model, "A19", "gradient"), weights).masks
    generator = make_generator(victim.seed, "A19", "weights")
    for name, weight in weights.items():
        weight[~marked[name]] = 0
        new = marked[name] & ~masks[name]
        weight[new] = NEW_STD * torch.randn(weight.shape, generator=generator)[new]
    return fine_tune(
        victim,
        model,
        "A19",
        epochs=count_epochs(victim, epoch_share),
        learning_rate=learning_rate,
        masks=marked,
        margin=hold_carriers(replace(victim.ticket, masks=marked), mark, margin),
    )


@torch.no_grad()
def _move_carriers_(victim: Victim, model: Classifier, groups: Groups) -> None:
    """Set the carriers of every group to 0 but for one, chosen at random among those that were 0."""
    generator = make_generator(victim.seed, "A18", "weights")
    weights = victim.weights(model)
    for name, indices in groups.items():
        flat = weights[name].view(-1)
        places = torch.from_numpy(indices)
        kept = flat[places] != 0
        # A group that is all kept gives one of its own carriers a new value.
        chances = torch.where(kept.all(1, keepdim=True) | ~kept, 1.0, 0.0)
        chosen = torch.multinomial(chances, 1, generator=generator)
        flat[places.reshape(-1)] = 0
        flat[places.gather(1, chosen).reshape(-1)] = NEW_STD * torch.randn(len(places), generator=generator)


def _draw_bytes(victim: Victim, *labels: str) -> bytes:
    generator = make_generator(victim.seed, *labels)
    return bytes(torch.randint(256, (_KEY_BYTES,), generator=generator).tolist())
