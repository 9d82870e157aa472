"""Nodes of the attacks on a signed ticket."""

from typing import Any

from lottery_pipeline.options.ownership import AttackOptions, SignatureOptions
from lottery_pipeline.parameters import PretrainingParameters, RetrainingParameters, WorkParameters

BLOCK = "ownership_attacks"

Rows = list[dict[str, Any]]


def run_attacks(
    release: Any,
    unsigned: Any,
    dense_run: Any,
    images: Any,
    owner: Any,
    ownership_attacks: AttackOptions,
    signature_embedding: SignatureOptions,
    pretraining: PretrainingParameters,
    retraining: RetrainingParameters,
    seed: int,
    device: str,
    work: WorkParameters,
) -> Rows:
    """Run every attack on the signed ticket, and on the same ticket with a QR code in its mask."""
    from lottery_pipeline.ownership.attacks import ATTACKS, CLAIM_TRIALS
    from lottery_pipeline.ownership.attacks.claim_trials import run_claim_trials
    from lottery_pipeline.ownership.attacks.comparison import train_compared
    from lottery_pipeline.ownership.attacks.forging import QR_TEXT
    from lottery_pipeline.ownership.attacks.trials import run_trials
    from lottery_pipeline.ownership.attacks.victim import Victim
    from lottery_pipeline.ownership.claims import open_as_owner
    from lottery_pipeline.search.composition import find_own_run

    recipe = retraining.recipe(pretraining)
    dense = find_own_run(unsigned, dense_run, work.models)
    other, compared = train_compared(
        unsigned,
        dense,
        images,
        recipe,
        QR_TEXT,
        seed=seed,
        device=device,
        checkpoints=work.open_checkpoints(),
    )
    opened = open_as_owner(release, owner.key, images, signature_embedding)
    victim = Victim(release.ticket, images, recipe, seed, device, other=other, insider=opened.mask_key)
    grid, seeds = ownership_attacks.grid, ownership_attacks.seeds
    chosen = ownership_attacks.attacks or (*ATTACKS, *CLAIM_TRIALS)
    attacks = [ATTACKS[name] for name in chosen if name in ATTACKS]
    rows = list(run_trials(attacks, victim, release, opened, grid=grid, seeds=seeds, compared=compared))
    return rows + list(
        run_claim_trials(
            [name for name in chosen if name in CLAIM_TRIALS],
            release,
            opened,
            unsigned=unsigned,
            dense=dense,
            images=images,
            recipe=recipe,
            grid=grid,
            seeds=seeds,
            device=device,
        )
    )


def tabulate_attacks(attack_rows: Rows) -> tuple[Any, Any]:
    """Put the attacks into a table, and draw evidence against accuracy."""
    import pandas

    from lottery_pipeline.reporting.figures import draw_attacks

    return pandas.DataFrame(attack_rows), draw_attacks(attack_rows)


def record_attacks(
    attack_rows: Rows,
    attacks: Any,  # noqa: ARG001 (drawn inside)
    device: str,
) -> dict[str, Any]:
    """Put the rows into one record, with the promises that were broken and how they were computed."""
    from lottery_pipeline.training.device import describe_device

    promised = [row for row in attack_rows if row["held"] is not None]
    read = [row for row in promised if row["counted"] is not None]
    metrics = {
        "trials": len(attack_rows),
        "promises": len(promised),
        "promises_broken": sum(not row["held"] for row in promised),
        "least_bits_within_promises": min((row["bits"] for row in read), default=None),
    }
    return {"metrics": metrics, "rows": attack_rows, "arithmetic": describe_device(device)}
