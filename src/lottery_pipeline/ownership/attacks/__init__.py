"""Attacks on signed tickets: the one table of them, a row each; a module per family.

A20 and A21 change no stolen network. They forge claims and try locks, and have a table of their own.
"""

from dataclasses import replace

from lottery_pipeline.ownership.attacks import fine_tuning, pruning
from lottery_pipeline.ownership.attacks.attack import Attack, reads_all, shows_all
from lottery_pipeline.ownership.attacks.averaging import average
from lottery_pipeline.ownership.attacks.claim_trials import CLAIM_TRIALS
from lottery_pipeline.ownership.attacks.combination import combine
from lottery_pipeline.ownership.attacks.equivalence import add_dummies, flip_signs, permute, scale
from lottery_pipeline.ownership.attacks.evasion import evade, unlearn
from lottery_pipeline.ownership.attacks.extraction import extract_student
from lottery_pipeline.ownership.attacks.grids import GRIDS, Grid
from lottery_pipeline.ownership.attacks.noise import add_weights, fill_zeros
from lottery_pipeline.ownership.attacks.overwriting import over_embed, overwrite
from lottery_pipeline.ownership.attacks.quantisation import quantise
from lottery_pipeline.ownership.attacks.regrowth import prune_and_regrow
from lottery_pipeline.ownership.attacks.victim import Victim

__all__ = ["ATTACKS", "CLAIM_TRIALS", "Attack", "Victim"]

_DETECTED = "The mark is detected as long as accuracy falls by at most 1 point."

_ROWS = (
    Attack(
        id="A0",
        name="none",
        sentence="Leave the network as it is.",
        run=Victim.build,
        pledge="must",
        promise="The payload is decoded exactly, 99 % of the triggers are hit, and accuracy is within half a "
        "point of the unsigned ticket's.",
        keeps=shows_all,
        preserves_function=True,
    ),
    Attack(
        id="A1",
        name="fine-tuning, mask kept",
        sentence="Train on without letting pruned weights come back.",
        run=fine_tuning.fine_tune_sparse,
        pledge="must",
        promise="The mask is read as it was.",
        keeps=reads_all,
        budget=None,
    ),
    Attack(
        id="A2",
        name="fine-tuning, dense",
        sentence="Train on without the mask, so that pruned weights come back.",
        run=fine_tuning.fine_tune_dense,
        pledge="must",
        promise=_DETECTED,
    ),
    Attack(
        id="A3",
        name="fine-tuning of the head",
        sentence="Train the last layer or all layers, the last one as it is or drawn anew.",
        run=fine_tuning.fine_tune_head,
        pledge="must",
        promise="The mark is detected; the triggers are reported.",
        budget=None,
        follows="head",
    ),
    Attack(
        id="A4",
        name="transfer",
        sentence="Train on for another data set.",
        run=fine_tuning.transfer,
        pledge="must",
        promise="The mark is detected; the triggers say nothing about another task.",
        budget=None,
        needs="other_images",
    ),
    Attack(
        id="A5",
        name="magnitude pruning",
        sentence="Remove the smallest of the remaining weights.",
        run=pruning.prune_magnitude,
        pledge="must",
        promise="The mark is detected as long as accuracy falls by at most 5 points.",
        budget=0.05,
    ),
    Attack(
        id="A6",
        name="magnitude pruning and fine-tuning",
        sentence="Remove the smallest of the remaining weights, then train the others.",
        run=pruning.prune_and_fine_tune,
        pledge="must",
        promise=_DETECTED,
    ),
    Attack(
        id="A7",
        name="random pruning",
        sentence="Remove random weights.",
        run=pruning.prune_random,
        promise="Nothing is promised; a few percent cost much accuracy.",
    ),
    Attack(
        id="A8",
        name="magnitude pruning by layer",
        sentence="Remove the smallest weights of every layer that may hold a mark.",
        run=pruning.prune_layers,
        pledge="must",
        promise=_DETECTED,
    ),
    Attack(
        id="A9",
        name="filter pruning",
        sentence="Remove the filters of smallest norm, then train the rest.",
        run=pruning.prune_filters,
        pledge="must",
        promise="Up to a share of 20 %, the mark is detected in the filters that are left.",
        covers=lambda point: point["share"] <= 0.2,
        budget=None,
    ),
    Attack(
        id="A10",
        name="pruning and regrowth",
        sentence="Swap small weights for pruned ones of large gradient, and train.",
        run=prune_and_regrow,
        pledge="must",
        promise="Up to a share of 10 %, the mark is detected.",
        covers=lambda point: point["share"] <= 0.1,
        budget=None,
    ),
    Attack(
        id="A11",
        name="added weights",
        sentence="Switch pruned weights on at random.",
        run=add_weights,
        pledge="must",
        promise=_DETECTED,
    ),
    Attack(
        id="A12",
        name="filled zeros",
        sentence="Give every pruned weight a tiny value.",
        run=fill_zeros,
        pledge="must",
        promise=_DETECTED,
    ),
    Attack(
        id="A13",
        name="permutation",
        sentence="Reorder channels.",
        run=permute,
        pledge="must",
        promise="The mark is detected after alignment, and not without it.",
        budget=None,
        preserves_function=True,
    ),
    Attack(
        id="A14",
        name="scaling",
        sentence="Scale every channel and undo it in the layers that read it.",
        run=scale,
        pledge="must",
        promise="The mask is read as it was.",
        keeps=reads_all,
        budget=None,
        preserves_function=True,
    ),
    Attack(
        id="A15",
        name="sign flips",
        sentence="Negate filters and undo it in batch norm.",
        run=flip_signs,
        pledge="must",
        promise="The mask is read as it was.",
        keeps=reads_all,
        budget=None,
        preserves_function=True,
    ),
    Attack(
        id="A16",
        name="dummy channels",
        sentence="Add channels that change nothing.",
        run=add_dummies,
        pledge="must",
        promise="At a share of 5 %, the mark is detected; 20 % is reported.",
        covers=lambda point: point["share"] <= 0.05,
        budget=None,
        preserves_function=True,
    ),
    Attack(
        id="A17",
        name="quantisation",
        sentence="Store weights in 4, 8 or 16 bits.",
        run=quantise,
        pledge="must",
        promise="The mark is detected at 8 and at 16 bits; 4 bits are reported.",
        covers=lambda point: point["number_type"] != "int4",
        budget=None,
    ),
    Attack(
        id="A18",
        name="overwriting",
        sentence="Move the kept carriers of every group, then train; with or without the owner's key.",
        run=overwrite,
        pledge="must",
        promise="Without the key, the mark is detected; with it, the price is reported.",
        covers=lambda point: not point["knows_key"],
        budget=None,
        needs="insider",
    ),
    Attack(
        id="A19",
        name="a second mark",
        sentence="Sign the stolen ticket once more, with a key of one's own, and train.",
        run=over_embed,
        pledge="must",
        promise="The owner's mark is detected; between two marks, the earlier commitment decides.",
        budget=None,
    ),
    Attack(
        id="A22",
        name="extraction",
        sentence="Train a fresh network on the answers of the stolen one.",
        run=extract_student,
        promise="No mark of the mask survives, by design; the triggers are reported.",
    ),
    Attack(
        id="A23",
        name="trigger evasion",
        sentence="Filter the images or the answers of the network.",
        run=evade,
        promise="The mask is read as it was; the triggers are reported.",
    ),
    Attack(
        id="A24",
        name="unlearning",
        sentence="Train on noise with random labels among a few images.",
        run=unlearn,
        promise="The mask is read as it was; the triggers are reported and expected to suffer.",
    ),
    Attack(
        id="A25",
        name="averaging",
        sentence="Average the weights with those of another ticket.",
        run=average,
        needs="other",
    ),
    Attack(
        id="A26",
        name="combination",
        sentence="Prune 20 %, fine-tune, permute, scale and quantise.",
        run=combine,
        pledge="must",
        promise=_DETECTED,
    ),
    Attack(
        id="A27",
        name="adversarial fine-tuning",
        sentence="Train on images and their adversarial copies.",
        run=fine_tuning.fine_tune_adversarially,
        follows="pixels",
    ),
    Attack(
        id="A28",
        name="fine-pruning",
        sentence="Silence the channels that clean images hardly activate, then train the rest.",
        run=pruning.prune_inactive,
    ),
    Attack(
        id="A29",
        name="feature regularisation",
        sentence="Train on while the features are pulled towards those of a random network.",
        run=fine_tuning.regularise_features,
        follows="head",
    ),
    Attack(
        id="A30",
        name="label smoothing",
        sentence="Train on with smoothed labels.",
        run=fine_tuning.smooth_labels,
    ),
    Attack(
        id="A31",
        name="pruning where carriers are held",
        sentence="Remove the weights of the size that a margin gives to carriers.",
        run=pruning.prune_band,
    ),
)


def _give_points(attack: Attack) -> Attack:
    points = GRIDS.get(attack.id, Grid())
    return replace(attack, grid=points.full, quick=points.quick)


ATTACKS: dict[str, Attack] = {attack.id: _give_points(attack) for attack in _ROWS}
