"""The CUDA graph itself; what surrounds it is tested on tapes in test_captured.py."""

import pytest
import torch

from lottery_pipeline.training.graph import CudaGraph, find_graph
from lottery_pipeline.training.loop import train
from lottery_pipeline.training.recipe import Recipe
from tests.training.tape import listen, said
from tests.training.tiny import TinyNet, tiny_images, tiny_masks, untimed

needs_cuda = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="no CUDA device: the captured step cannot be tried here"
)
# 22 images: two full batches and a smaller one; long enough to be captured.
LONG = Recipe(epochs=50, batch_size=8, learning_rate=0.01, schedule="cosine", flip=True, crop_padding=1)


def test_only_cuda_has_graphs():
    assert find_graph(torch.device("cuda", 0)) is CudaGraph
    assert find_graph(torch.device("cpu")) is None
    assert find_graph(torch.device("mps")) is None


@needs_cuda
@pytest.mark.parametrize(
    "changes",
    [{}, {"optimiser": "adam"}, {"clip_norm": 0.5, "loss_reduction": "sum"}, {"precision": "bfloat16"}],
)
def test_a_captured_training_is_the_eager_one(monkeypatch, caplog, changes):
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", True)
    listen(caplog)
    found = []
    for graph in (False, "auto"):
        model = TinyNet()  # with dropout
        recipe, masks = LONG.replace(graph=graph, **changes), tiny_masks(model)
        found.append(train(model, tiny_images(), recipe, seed=1, masks=masks, device="cuda"))

    assert said(caplog)[-1] == "training: the step is captured."
    eager, captured = found
    for name, tensor in eager.state.items():
        torch.testing.assert_close(captured.state[name], tensor, rtol=1e-4, atol=1e-5)
    for one, other in zip(untimed(eager.history), untimed(captured.history), strict=True):
        assert other == pytest.approx(one, rel=1e-3, abs=1e-3)


@needs_cuda
def test_a_graph_continues_from_the_state_of_its_generators():
    device = torch.device("cuda", torch.cuda.current_device())
    generator = torch.Generator(device)
    graph, found = CudaGraph(device, [generator]), torch.zeros(2, 3, device=device)

    def draw() -> None:
        found[0].copy_(torch.rand(3, generator=generator, device=device))
        found[1].copy_(torch.rand(3, device=device))

    graph.warm_up(draw)
    graph.capture(draw)
    generator.manual_seed(5)
    torch.cuda.manual_seed(6)
    graph.replay()
    graph.replay()
    replayed = found.clone()

    generator.manual_seed(5)
    torch.cuda.manual_seed(6)
    draw()
    draw()
    assert torch.equal(found, replayed)


@needs_cuda
def test_after_a_capture_that_fails_the_device_works_as_before():
    device = torch.device("cuda", torch.cuda.current_device())
    generator = torch.Generator(device)
    stream = torch.cuda.current_stream(device)

    def read() -> None:
        torch.rand(3, generator=generator, device=device)
        torch.rand(3, device=device).sum().item()

    with pytest.raises(RuntimeError):
        CudaGraph(device, [generator]).capture(read)

    read()
    assert torch.cuda.current_stream(device) == stream


@needs_cuda
def test_a_graph_that_keeps_much_of_the_memory_is_refused(monkeypatch):
    monkeypatch.setattr("lottery_pipeline.training.graph._LARGEST_SHARE", 0.0)
    device = torch.device("cuda", torch.cuda.current_device())
    with pytest.raises(RuntimeError, match="a graph of it keeps"):
        CudaGraph(device).capture(lambda: torch.zeros(1000, device=device).sum())


@needs_cuda
def test_a_network_that_reads_its_numbers_is_trained_eagerly(caplog):
    class Reading(TinyNet):
        def forward(self, images):
            logits = super().forward(images)
            return logits if logits.mean().item() > 0 else 2 * logits

    listen(caplog)
    train(Reading(), tiny_images(), LONG, seed=1, device="cuda")
    assert "makes the host wait" in said(caplog)[-1]
