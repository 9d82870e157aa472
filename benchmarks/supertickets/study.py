"""The arms of the SuperTickets study: what each part of the joint search is worth, over seeds.

    python -m benchmarks.supertickets.study digits [--seeds 0 1 2]
    python -m benchmarks.supertickets.study canvases_keypoints     # or _classification, _segmentation
    python -m benchmarks.supertickets.study cifar --root FOLDER --seeds 0     # a folder of CIFAR-10 images

Thirteen ways to get from a supernet to a network (`options/supertickets_study.py` has the table): searching
alone, pruning after or before the search, and the joint search with parts of it changed. Each is measured as
found, and after a retraining with its masks on.

Every finished arm is kept in data/work/supertickets/; a run that was stopped resumes. After each seed, rows
and summary are written to results/study_digits.json, or to that of the setting, beside this script.

Found, in setting `digits` (10 % of the weights of `digits8`; differences to two-in-one in points with 95 %
t-intervals). As found after 13 epochs: two-in-one 85.0 %; pruning all at once at the end 31.7 % (-53, -67 to
-39), pruning before the search 70.7 % (-14, -23 to -6), random masks 11.0 %, and back right after each
pruning 28.8 %. Without progressive pruning 77.0 % (-8, -36 to +20), without reactivation 88.7 % (+4, -13 to
+20), back from 0 84.0 %: no difference that shows. After a retraining of 13 epochs: two-in-one 97.9 %, at
once at the end 97.6 % (-0.3, -1.7 to +1.1), pruning before the search 96.8 % (-1.0, -2.1 to 0.0), random
masks 88.7 % (-9.2, -10.6 to -7.8), neither progressive nor reactivated 91.4 % (-6.5, -11.0 to -2.0). At
equal epochs a search twice as long without retraining is not ahead: 96.8 % (-1.1, -2.3 to +0.1). The whole
supernet: 97.7 % after 13 epochs, 98.3 % after 26. Two-in-one runs 40 % of its multiply-accumulates.

In settings `canvases_*` (15 % of the weights of `canvas32`; accuracy, mIoU, PCK): as found, two-in-one 40.8,
23.6 and 15.8 %, at once at the end 31.0, 19.4 and 7.8 %, random masks 10.6, 6.7 and 3.8 %. Retrained,
two-in-one 56.7, 40.9 and 69.9 %, at once at the end +0.2 +- 9.3, -0.2 +- 1.3 and -4.2 +- 5.1 points, pruning
before the search -1.2 +- 1.7, -2.6 +- 1.2 and -0.7 +- 14.3, random masks -7.9 +- 7.5, -20.1 +- 7.2 and
-2.6 +- 9.7.

In setting `cifar` (10 % of the weights of `cifar`; one seed): as found, two-in-one 30.4 %, at once at the end
24.5 %, pruning before the search 27.4 %, random masks 9.9 %, the whole supernet 42.9 %. Retrained, 44.4,
42.1, 41.3 and 38.2 %. An accuracy is known to 3 points, so this is a trial and no comparison.
Machine: 2 cores of an AMD EPYC (AVX-512), shared with other work, one thread, torch 2.14.1.
Runs: seeds 0, 1 and 2 (cifar: 0); 359 test images, a point is 4 of them (cifar: 1,000). A seed took 13 to 20
minutes, that of cifar about 3 hours.
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


def measure(
    setting: Setting, seed: int, device: str, folder: Path, root: str | None
) -> list[dict[str, object]]:
    """Train the arms of one seed, or read what is finished."""
    images = setting.prepare(**({"root": root} if root else {}))
    study = ArmStudy(
        images,
        setting.specify(images),
        setting.recipe,
        setting.options,
        StudyOptions(arms=setting.arms, seeds=(seed,)),
        extract_supertickets,
        device=device,
    )
    return study_arms(study, seed=seed, checkpoints=Checkpoints(folder / f"seed_{seed}"))


def main() -> None:
    """Run the study, or report what is finished."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("setting", choices=tuple(SETTINGS))
    parser.add_argument("--root", help="folder of images, for setting cifar")
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--work", type=Path, default=PROJECT / "data" / "work" / "supertickets")
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    setting, rows = SETTINGS[given.setting], []
    for seed in given.seeds:
        rows += measure(setting, seed, given.device, given.work / f"study_{given.setting}", given.root)
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
