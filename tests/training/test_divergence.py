import pytest
import torch

from lottery_pipeline.reproducibility.checkpoints import Checkpoints
from lottery_pipeline.training import run as run_module
from lottery_pipeline.training.loop import DivergenceError, train
from lottery_pipeline.training.recipe import Recipe
from tests.training.tiny import TinyNet, tiny_images

RECIPE = Recipe(epochs=4, batch_size=8, learning_rate=0.05)  # 3 steps an epoch


class Poisoned(TinyNet):
    """Logits are NaN from forward pass ``step`` (from 0) of training on."""

    def __init__(self, step: int) -> None:
        super().__init__()
        self.step, self.passes = step, 0

    def forward(self, images):
        logits = super().forward(images)
        if self.training:
            self.passes += 1
            if self.passes > self.step:
                logits = logits * float("nan")
        return logits


def run(model, **options):
    options = {"recipe": RECIPE, "images": tiny_images(), **options}
    return train(model, seed=0, device="cpu", label="ltr.round_02", **options)


def test_a_loss_that_is_not_finite_stops_with_the_epoch_and_the_place_of_the_checkpoint(tmp_path):
    checkpoints = Checkpoints(tmp_path, interval_seconds=3600)

    with pytest.raises(DivergenceError) as error:
        run(Poisoned(7), checkpoints=checkpoints)

    (path,) = tmp_path.glob("*.safetensors")
    message = str(error.value)
    assert message.startswith("ltr.round_02 diverged in epoch 3 (step 8 of 12): its loss is not finite;")
    assert f"the last good checkpoint, of step 6, is {path}." in message
    tensors, record = checkpoints.load(path.stem)
    assert [row["epoch"] for row in record["history"]] == [1, 2]
    assert all(tensor.isfinite().all() for tensor in tensors.values())


def test_a_divergence_in_the_first_epoch_keeps_the_start(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    model = Poisoned(1)
    start = {name: tensor.clone() for name, tensor in model.state_dict().items()}

    with pytest.raises(DivergenceError, match=r"epoch 1 \(step 2 of 12\)"):
        run(model, checkpoints=checkpoints)

    tensors, record = checkpoints.load(next(tmp_path.glob("*.safetensors")).stem)
    assert record["step"] == 0
    assert all(torch.equal(tensors[f"state/{name}"], tensor) for name, tensor in start.items())


def test_a_checkpoint_is_never_taken_of_weights_that_are_not_finite(tmp_path, monkeypatch):
    monkeypatch.setattr(run_module, "_SEGMENT_SECONDS", 0.0)
    recipe = RECIPE.replace(learning_rate=1e30, momentum=0.0)

    with pytest.raises(DivergenceError):
        run(TinyNet(dropout=0.0), recipe=recipe, checkpoints=Checkpoints(tmp_path, interval_seconds=0))

    tensors, _ = Checkpoints(tmp_path).load(next(tmp_path.glob("*.safetensors")).stem)
    assert all(tensor.isfinite().all() for tensor in tensors.values())


def test_weights_ruined_by_the_very_last_step_are_noticed():
    class RuinedAtTheEnd(TinyNet):
        def forward(self, images):
            if self.training and int(self.norm.num_batches_tracked) == 2:
                self.fc.weight.register_hook(lambda gradient: gradient * float("inf"))
            return super().forward(images)

    with pytest.raises(DivergenceError, match="epoch 1"):
        run(RuinedAtTheEnd(), recipe=RECIPE.replace(epochs=1), images=tiny_images(validation=0))


def test_a_validation_loss_that_is_not_finite_stops_too():
    class BlindToValidation(TinyNet):
        def forward(self, images):
            logits = super().forward(images)
            return logits if self.training else logits * float("inf")

    with pytest.raises(DivergenceError, match="validation loss is not finite; there is no good checkpoint"):
        run(BlindToValidation())
