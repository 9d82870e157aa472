import os
import signal
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from unittest.mock import patch

import pytest
import torch
from torch import Tensor, nn

from lottery_pipeline.images.splits import ImageSplits
from lottery_pipeline.images.splits_file import load_splits, save_splits
from lottery_pipeline.methods.cts.cts import ConcreteLearner
from lottery_pipeline.options import CtsOptions
from lottery_pipeline.options.adversary import Adversary
from lottery_pipeline.reproducibility.checkpoints import Checkpoints
from lottery_pipeline.search.mask_search import learn_scores
from lottery_pipeline.sparsity.selection import keep_top_k
from lottery_pipeline.training import adversarial_batches, collectives, parallel, run
from lottery_pipeline.training.arithmetic import describe_arithmetic
from lottery_pipeline.training.loop import DivergenceError, train
from lottery_pipeline.training.ranks import ParallelError, Ranks
from lottery_pipeline.training.recipe import Recipe, RecipeError
from lottery_pipeline.training.result import Training
from tests.training.processes import alone, describe, find_port, followed
from tests.training.tiny import (
    TinyDenseNet,
    TinyNet,
    tiny_dense_images,
    tiny_images,
    tiny_masks,
    tiny_set,
    untimed,
)

CPU = torch.device("cpu")
# 34 images: 4 batches of 8 and one of 2.
RECIPE = Recipe(iterations=20, batch_size=8, learning_rate=0.05, weight_decay=1e-3, flip=True, crop_padding=1)
DIGITS = {torch.float32: (5, 1e-5), torch.float64: (20, 1e-10)}  # how long, how close


class Doubled(nn.Module):
    """A network that computes in float64."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network.double()

    def forward(self, images: Tensor) -> Tensor:
        return self.network(images.double())


def make_net(dtype: torch.dtype = torch.float32) -> nn.Module:
    network = TinyNet(dropout=0.0)
    return Doubled(network) if dtype == torch.float64 else network


def teach(dtype: torch.dtype = torch.float32, images: ImageSplits | None = None, **options) -> Training:
    changes = options.pop("changes", {})
    network = options.pop("network", None) or make_net(dtype)
    recipe = RECIPE.replace(**{"iterations": DIGITS[dtype][0], **changes})
    if "density" in options:
        options["masks"] = tiny_masks(network, density=options.pop("density"))
    return train(network, images or tiny_images(34), recipe, seed=1, device="cpu", **options)


def learn(objective: str, dtype: torch.dtype):
    recipe = Recipe(iterations=DIGITS[dtype][0], batch_size=8, optimiser="adam", learning_rate=0.01)
    options = CtsOptions(density=0.2, objective=objective)
    function = partial(
        learn_equal_scores,
        make_learner=partial(ConcreteLearner, options),
        ignore_layers=(),
        affine=True,
        seed=1,
        method="cts",
        device=CPU,
        fingerprint="",
    )
    return parallel.call(function, tiny_images(34), make_net(dtype), recipe)


def learn_equal_scores(*arguments, **options):
    """Search on every process, and compare the masks that each would make."""
    scores, found = learn_scores(*arguments, **options)
    collectives.check_equal("The masks", keep_top_k(scores, 20))
    return scores, found


def assert_close(state: dict[str, Tensor], other: dict[str, Tensor], atol: float) -> None:
    for name, tensor in other.items():
        torch.testing.assert_close(state[name], tensor, rtol=0, atol=atol)


@pytest.fixture(scope="module")
def together() -> Iterator[None]:
    with followed(2):
        yield


@pytest.mark.usefixtures("together")
@pytest.mark.parametrize("dtype", DIGITS)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"density": 0.4, "start_step": 2},  # a round of late rewinding
        {"changes": {"loss_reduction": "sum", "learning_rate": 0.01, "clip_norm": 1.0}},
        {"changes": {"optimiser": "adam", "label_smoothing": 0.1, "augmix": True}},
    ],
)
def test_two_processes_train_as_one_does(options, dtype):
    ours = teach(dtype, **options)
    with alone():
        theirs = teach(dtype, **options)

    assert_close(ours.state, theirs.state, DIGITS[dtype][1])
    for row, other in zip(untimed(ours.history), untimed(theirs.history), strict=True):
        assert row == pytest.approx(other, abs=1e-5)
    assert ours.fingerprint == theirs.fingerprint


@pytest.mark.usefixtures("together")
@pytest.mark.parametrize("dtype", DIGITS)
@pytest.mark.parametrize("objective", ["kl_reverse", "delta_loss", "gradient_norm", "gradient_matching"])
def test_two_processes_search_as_one_does_and_find_the_same_masks(objective, dtype):
    ours, found = learn(objective, dtype)
    with alone():
        theirs, other = learn(objective, dtype)

    assert_close(ours, theirs, DIGITS[dtype][1])
    for row, expected in zip(found.trace, other.trace, strict=True):
        assert row == pytest.approx(expected, abs=1e-5)


@pytest.mark.usefixtures("together")
@pytest.mark.parametrize("task", ["segmentation", "keypoints"])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_parts_of_a_batch_weigh_what_its_mean_is_a_mean_of(task, reduction):
    images = tiny_dense_images(task)
    images.train.labels[0] = 255 if task == "segmentation" else 0  # nothing to be found in one of the images

    def teach_dense() -> Training:
        network = TinyDenseNet(2)
        network.dropout.p = 0.0
        changes = {"loss_reduction": reduction, "flip": False, "learning_rate": 1e-3}
        return teach(images=images, network=network, changes=changes)

    ours = teach_dense()
    with alone():
        theirs = teach_dense()

    assert_close(ours.state, theirs.state, 1e-5)
    assert ours.history[-1]["train_accuracy"] == pytest.approx(theirs.history[-1]["train_accuracy"], abs=1e-3)


@pytest.mark.usefixtures("together")
def test_images_on_disk_are_shared_as_those_in_memory(tmp_path):
    save_splits(tiny_images(34), tmp_path / "images.safetensors")
    images = load_splits(tmp_path / "images.safetensors", "disk")

    assert_close(teach(images=images).state, teach().state, 0)


@pytest.mark.usefixtures("together")
def test_a_process_trains_alone_on_images_that_others_cannot_open(tmp_path):
    save_splits(tiny_images(34), tmp_path / "images.safetensors")
    images = load_splits(tmp_path / "images.safetensors", "disk")
    (tmp_path / "images.safetensors").unlink()

    with alone():
        expected = teach()
    assert_close(teach(images=images).state, expected.state, 0)


@pytest.mark.usefixtures("together")
def test_each_process_attacks_its_own_images():
    ours = parallel.call(teach_under_attack, tiny_images(34))
    with alone():
        theirs = teach_under_attack(tiny_images(34))
        unharmed = teach()

    assert_close(ours.state, theirs.state, 1e-5)
    difference = (ours.state["fc.weight"] - unharmed.state["fc.weight"]).abs().max()
    assert difference > 1e-3
    assert 0 <= ours.history[-1]["robust_validation_accuracy"] <= 1


def teach_under_attack(images: ImageSplits) -> Training:
    """Train with attacks that start at the images themselves, not at random."""
    adversary = Adversary(kind="pgd", norm="L2", eps=0.5, steps=2)
    with patch.object(adversarial_batches, "draw_start", lambda images, *_: images.clone()):
        return teach(images=images, changes={"adversary": adversary})


@pytest.mark.usefixtures("together")
def test_extra_images_are_trained_with_alone():
    extra = {"extra": tiny_set(4, seed=9), "extra_per_batch": 2}
    ours = teach(**extra)
    with alone():
        theirs = teach(**extra)

    assert_close(ours.state, theirs.state, 0)


@pytest.mark.usefixtures("together")
def test_what_goes_wrong_everywhere_ends_the_training_alone():
    with pytest.raises(DivergenceError):
        teach(changes={"learning_rate": 1e30})

    assert teach().steps == 5


@pytest.mark.usefixtures("together")
def test_processes_are_counted_in_the_arithmetic_and_not_in_the_fingerprint():
    assert describe_arithmetic(CPU)["processes"] == 2
    with alone():
        assert "processes" not in describe_arithmetic(CPU)


@pytest.mark.usefixtures("together")
def test_a_batch_for_fewer_than_all_processes_is_refused():
    with (
        patch.object(parallel._groups[0], "ranks", Ranks(0, 9, 0, 9)),
        pytest.raises(RecipeError, match="8 images in a batch, but 9 processes share it"),
    ):
        teach()


@pytest.mark.usefixtures("together")
def test_a_network_that_cannot_be_sent_is_refused_in_one_sentence():
    network = TinyNet()
    network.secret = threading.Lock()

    with pytest.raises(parallel.UnsentError, match=r"cannot be sent to the others \(.*\); use one process"):
        teach(network=network)


@pytest.mark.usefixtures("together")
def test_each_process_drops_out_by_itself():
    first = teach(network=TinyNet(dropout=0.5))
    again = teach(network=TinyNet(dropout=0.5))
    with alone():
        other = teach(network=TinyNet(dropout=0.5))

    assert_close(first.state, again.state, 0)
    assert not torch.equal(first.state["fc.weight"], other.state["fc.weight"])


def test_one_image_for_each_process_and_rows_in_turn():
    team = parallel.Team(rank=1, world=3)

    assert list(range(20))[team.take(slice(8, 16), 8)] == [9, 12, 15]
    assert team.count_own(5) == 2  # the second and the fifth
    assert team.replicas == 1

    assert list(range(18))[team.take(slice(16, 24), 2)] == [
        16,
        17,
    ]  # fewer than processes: all of them for everybody
    assert team.count_own(1) == 1
    assert team.replicas == 3


def test_a_process_alone_does_nothing_of_it():
    tensor = torch.ones(2)

    with alone():
        assert parallel.count_processes() == 1
        assert collectives.agree(7) == 7
        assert collectives.add_up_(tensor) is tensor
    assert tensor.tolist() == [1, 1]


@pytest.mark.slow
@pytest.mark.parametrize("dtype", DIGITS)
def test_three_processes_share_a_last_batch_of_two_images(dtype):
    with followed(3):
        for changes in ({}, {"loss_reduction": "sum", "learning_rate": 0.01}):
            ours = teach(dtype, changes=changes)
            with alone():
                theirs = teach(dtype, changes=changes)
            assert_close(ours.state, theirs.state, DIGITS[dtype][1])


@pytest.mark.slow
def test_without_synchronised_batch_norm_the_result_is_another():
    with followed(2):
        ours = parallel.call(teach_unsynced, tiny_images(34))
        with alone():
            theirs = teach()
    difference = max(float((ours.state[name] - tensor).abs().max()) for name, tensor in theirs.state.items())
    assert difference > 1e-4


def teach_unsynced(images: ImageSplits) -> Training:
    unsynced = patch.object(run, "synced_norms", lambda: patch.dict({}))
    with unsynced, patch.object(run, "check_equal"):  # the running statistics differ
        return teach(images=images)


@pytest.mark.slow
def test_weights_that_differ_end_the_run():
    sentence = r"My numbers differ between the processes \(1 of 2 disagree with process 0\)"
    with followed(2, fails=sentence):
        with pytest.raises(ParallelError, match=sentence):
            parallel.call(hold_different, tiny_images())
        with pytest.raises(ParallelError, match=sentence):  # no training is possible any more
            teach()


def hold_different(images: ImageSplits) -> None:
    collectives.check_equal("My numbers", {"x": torch.tensor(float(os.environ["RANK"]))})


@pytest.mark.slow
@pytest.mark.parametrize("stop", [signal.SIGKILL, signal.SIGTERM])
def test_when_a_process_is_killed_the_others_end_with_one_sentence(stop):
    with followed(2, fails="") as (follower,):
        began = time.monotonic()
        threading.Timer(1, follower.send_signal, [stop]).start()
        with pytest.raises(ParallelError, match=r"Process 0 of 2 has lost another one, .* resumes"):
            teach(changes={"batch_size": 2, "iterations": 10**6})
        assert time.monotonic() - began < 60, "it waits"


@pytest.mark.slow
@pytest.mark.parametrize("where", [3, 5])
def test_a_stopped_training_resumes_bit_for_bit(tmp_path, where):
    def teach_with(checkpoints: Checkpoints | None, **options) -> Training:
        changes = {"iterations": 20, "evaluation_interval": 1}
        return teach(network=TinyNet(dropout=0.5), changes=changes, checkpoints=checkpoints, **options)

    def stop(row: dict) -> None:
        if row["step"] > where:
            raise KeyboardInterrupt

    with followed(2):
        whole = teach_with(None)
    with pytest.raises(KeyboardInterrupt), followed(2):
        teach_with(Checkpoints(tmp_path, interval_seconds=0), on_record=stop)
    with followed(2):
        resumed = teach_with(Checkpoints(tmp_path))

    assert_close(resumed.state, whole.state, 0)
    assert untimed(resumed.history) == untimed(whole.history)


@pytest.mark.slow
def test_processes_that_are_not_there_are_missed_in_one_sentence():
    ranks = Ranks(1, 2, 1, 2)
    with (
        patch.dict(os.environ, describe(1, 2, find_port())),
        pytest.raises(ParallelError, match=r"Process 1 of 2 does not reach the others at 127\.0\.0\.1:"),
        parallel.joined(ranks, patience=timedelta(seconds=2)),
    ):
        pass


def test_an_error_of_torch_is_said_in_its_first_sentence():
    error = RuntimeError(
        "[/src/tcp/pair.cc:561] Connection closed by peer [127.0.0.1]:37767. This is typical\nof"
    )

    assert parallel._first_line(error) == "Connection closed by peer [127.0.0.1]:37767"
    assert parallel._first_line(RuntimeError()) == "RuntimeError"
