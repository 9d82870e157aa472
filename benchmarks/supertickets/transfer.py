"""SuperTickets moved between the three tasks of the same canvases, beside their controls, over seeds.

    python -m benchmarks.supertickets.transfer [--seeds 0 1 2] [--head carry] [--freeze]

For each task a SuperTicket is found. It moves to each other task with its backbone (architecture, weights,
masks) and a fresh head, and is trained there. Beside it are trained, for as many epochs: the same
architecture and masks with fresh weights, the same weights under a shuffled mask, the same architecture with
fresh weights and no mask, and the ticket that was found for the target itself.

Every finished row is kept in data/work/supertickets/; a run that was stopped resumes. After each seed, rows
and summary are written to the folder results beside this script.

Found: weights carry over, masks hardly. Against fresh weights under the same masks the moved ticket is on
average 2 to 16 points ahead in all six pairs, clearly (95 % t-interval without 0) in two: from segmentation
to classification (15.7 +- 6.6) and to keypoints (9.8 +- 3.4). Against its own weights under shuffled masks it
is clearly ahead in one, classification to segmentation (3.2 +- 2.3). The ticket of the target itself is ahead
in all four pairs that end in segmentation or keypoints, by 6 to 15 points, clearly in one; it has been
trained on the target twice.
Machine: 2 cores of an AMD EPYC (AVX-512), shared with other work, one thread, torch 2.14.1.
Runs: seeds 0, 1 and 2; a seed took about 40 minutes.
"""

import argparse
from pathlib import Path

import torch

from benchmarks.environment import describe_environment, write_report
from benchmarks.supertickets.settings import SETTINGS
from lottery_pipeline.evaluation.study_summaries import summarise_transfer
from lottery_pipeline.evaluation.transfer_rows import TransferStudy, study_transfer
from lottery_pipeline.methods.supertickets import extract_supertickets
from lottery_pipeline.options.supertickets_transfer import TransferOptions
from lottery_pipeline.reproducibility.checkpoints import Checkpoints

PROJECT = Path(__file__).parents[2]
SETTING = SETTINGS["canvases_segmentation"]
RESULTS = Path(__file__).parent / "results"
SEEDS = (0, 1, 2)


def prepare_study(options: TransferOptions) -> TransferStudy:
    """Prepare the canvases of every task; their pixels are the same."""
    images = {task: SETTING.prepare(task=task) for task in options.tasks}
    return TransferStudy(
        images,
        SETTING.specify(images["segmentation"]),
        SETTING.recipe,
        SETTING.options,
        options,
        extract_supertickets,
        device="cpu",
    )


def main() -> None:
    """Train what is not finished, and report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    parser.add_argument("--head", choices=("fresh", "carry"), default="fresh")
    parser.add_argument("--freeze", action="store_true", help="leave the moved backbone as it is")
    parser.add_argument("--work", type=Path, default=PROJECT / "data" / "work" / "supertickets")
    parser.add_argument("--output", type=Path, default=RESULTS / "transfer.json")
    given = parser.parse_args()
    torch.set_num_threads(1)
    tasks = {"tasks": ("segmentation", "keypoints")} if given.head == "carry" else {}
    options = TransferOptions.model_validate({"head": given.head, "freeze": given.freeze, **tasks})
    study, rows = prepare_study(options), []
    for seed in given.seeds:
        checkpoints = Checkpoints(given.work / "transfer" / f"seed_{seed}")
        rows += study_transfer(study, seed=seed, checkpoints=checkpoints)
        result = {
            "note": SETTING.note,
            "recipe": SETTING.recipe.record(),
            "extraction": SETTING.options.model_dump(mode="json"),
            "options": options.model_dump(mode="json", exclude={"seeds"}),
            "rows": rows,
            "summary": summarise_transfer(rows),
            "environment": describe_environment(),
        }
        write_report(given.output, result)
    for line in result["summary"]:
        print(line)


if __name__ == "__main__":
    main()
