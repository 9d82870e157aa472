"""The arms of the SuperTickets study: what each part of the joint search is worth, over seeds.

    python -m benchmarks.supertickets.study digits [--seeds 0 1 2]     # also: canvases

Thirteen ways to get from a supernet to a network (`options/supertickets_study.py` has the table): searching
alone, pruning after or before the search, and the joint search with parts of it changed. Each is measured as
found, and after a retraining with its masks on.

Every finished arm is kept in data/work/supertickets/; a run that was stopped resumes. `report` (done at the
end of `run`, too) writes rows and summary to results/study_<setting>.json beside this script.

This head measures nothing yet.
"""

import argparse
from pathlib import Path

import torch

from benchmarks.environment import describe_environment, write_report
from benchmarks.supertickets.settings import SETTINGS, Setting
from lottery_pipeline.evaluation.study_summaries import summarise_arms
from lottery_pipeline.evaluation.superticket_arms import ArmStudy, study_arms
from lottery_pipeline.methods.supertickets import extract_supertickets
from lottery_pipeline.options.supertickets_study import StudyOptions
from lottery_pipeline.reproducibility.checkpoints import Checkpoints

PROJECT = Path(__file__).parents[2]
RESULTS = Path(__file__).parent / "results"
SEEDS = (0, 1, 2)


def measure(setting: Setting, seed: int, folder: Path) -> list[dict[str, object]]:
    """Train all arms of one seed, or read what is finished."""
    images = setting.prepare()
    study = ArmStudy(
        images,
        setting.specify(images),
        setting.recipe,
        setting.options,
        StudyOptions(seeds=(seed,)),
        extract_supertickets,
        device="cpu",
    )
    return study_arms(study, seed=seed, checkpoints=Checkpoints(folder / f"seed_{seed}"))


def main() -> None:
    """Run the study, or report what is finished."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("setting", choices=tuple(SETTINGS))
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    parser.add_argument("--work", type=Path, default=PROJECT / "data" / "work" / "supertickets")
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    setting, rows = SETTINGS[given.setting], []
    for seed in given.seeds:
        rows += measure(setting, seed, given.work / f"study_{given.setting}")
        result = {
            "setting": given.setting,
            "note": setting.note,
            "recipe": setting.recipe.record(),
            "extraction": setting.options.model_dump(mode="json"),
            "rows": rows,
            "summary": summarise_arms(rows),
            "environment": describe_environment(),
        }
        write_report(given.output or RESULTS / f"study_{given.setting}.json", result)
    for line in result["summary"]:
        print(line)


if __name__ == "__main__":
    main()
