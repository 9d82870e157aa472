"""The memory format of a network: channels last, which is faster, unless the network cannot do with it.

A network that takes memory as it lies (``x.view(len(x), -1)`` behind a convolution, ``as_strided``) fails in
channels-last memory, or computes something else. It is tried when it is built, and then stays contiguous.
"""

import copy
import logging
from typing import Any

import torch
from torch import Tensor, nn

from lottery_pipeline.models.names import ModelError
from lottery_pipeline.models.spec import ModelSpec
from lottery_pipeline.reproducibility.seeds import seeded_draws

logger = logging.getLogger(__name__)

_TOLERANCE = 1e-3  # of the largest logit; the two formats round differently
_obstacles: dict[tuple[Any, ...], str] = {}
_noted: set[str] = set()


def lay_out_(model: nn.Module) -> None:
    """Bring the weights of a network into the memory format that is faster for it."""
    if not stays_contiguous(model):
        model.to(memory_format=torch.channels_last)


def stays_contiguous(model: nn.Module) -> bool:
    """Whether a network that ``build_model`` returned, or its part ``network``, is to stay contiguous."""
    return any(
        hook is _make_contiguous
        for module in (model, *model.children())
        for hook in module._forward_pre_hooks.values()
    )


def fit_memory_format_(model: nn.Module, spec: ModelSpec) -> None:
    """Find out whether a network works in channels-last memory; if not, let it always get contiguous images.

    A small batch goes through copies of it in both formats: in evaluation mode, and forward and backward in
    training mode. The result is remembered for the process, and said once.

    Args:
        model: a ``Classifier`` on the CPU, with weights; only its part ``network`` may get a hook.
        spec: what it was built from.

    Raises:
        ModelError: a training step fails in contiguous memory too.
    """
    key = (spec, *map(_identify, model.modules()))
    if key not in _obstacles:
        with torch.inference_mode(False):
            _obstacles[key] = _find_obstacle(model, spec)
    if not _obstacles[key]:
        return
    model.get_submodule("network").register_forward_pre_hook(_make_contiguous)
    if spec.name not in _noted:
        _noted.add(spec.name)
        logger.info(
            "%s stays in contiguous memory, which may be slower: in channels-last memory %s.",
            spec.name,
            _obstacles[key],
        )


def _make_contiguous(_network: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    # Not contiguous(): it leaves the strides of channels-last images of one channel, which convolutions read.
    return tuple(images.reshape(-1).view(images.shape) for images in inputs)


def _identify(module: nn.Module) -> Any:
    # Not its class: a factory may define a new one in every call, as torch's parametrisations do.
    return getattr(type(module).forward, "__code__", type(module).__qualname__)


def _find_obstacle(model: nn.Module, spec: ModelSpec) -> str:
    """Return what happens to a network in channels-last memory; empty if nothing."""
    generator = torch.Generator().manual_seed(0)
    pixels = torch.rand(2, *spec.image_size, spec.channels, generator=generator)
    last = pixels.permute(0, 3, 1, 2)  # laid out as batches are, also where there is one channel
    try:
        expected = _run(copy.deepcopy(model), last.reshape(-1).view(last.shape))
    except Exception as error:  # whatever the user's code raises
        raise ModelError(f"{spec.name} cannot be trained: {_first_line(error)}") from error
    try:
        found = _run(copy.deepcopy(model).to(memory_format=torch.channels_last), last)
    except RuntimeError as error:
        return f"it fails ({_first_line(error).rstrip('.')})"
    allowed = _TOLERANCE * float(expected.abs().max())
    same = torch.allclose(found, expected, rtol=0.0, atol=allowed, equal_nan=True)
    return "" if same else "it gives other logits"


def _run(model: nn.Module, images: Tensor) -> Tensor:
    """Return the logits in evaluation mode, after a pass forward and backward in training mode."""
    with seeded_draws(0), torch.enable_grad():
        logits = model.eval()(images)
        in_training = model.train()(images)
        if not isinstance(in_training, Tensor) or in_training.shape != logits.shape:
            kind = type(in_training).__name__
            raise TypeError(f"in training mode it returns a {kind} that is not the logits alone")
        in_training.sum().backward()
    detached: Tensor = logits.detach()
    return detached


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
