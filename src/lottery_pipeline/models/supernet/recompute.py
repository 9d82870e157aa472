"""Activations computed again in the backward pass instead of being stored."""

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils.checkpoint import checkpoint


def run_and_recompute(module: nn.Module, features: Tensor) -> Tensor:
    """Run a module and forget its activations; the backward pass runs it once more.

    Results and gradients are bit for bit those of ``module(features)``. The second run reads the parameters
    of the first, even if ``torch.func.functional_call`` had lent them to the module, and writes batch-norm
    statistics and counters to copies, so that each batch counts once. Only training with gradients is run
    like that; in evaluation mode, without gradients and on ``meta`` the module is simply called.

    Args:
        module: without dropout: random numbers would differ in the second run.
        features: [N, C, H, W].
    """
    if not (module.training and torch.is_grad_enabled()) or features.is_meta:
        output: Tensor = module(features)
        return output
    names = [name for name, _ in module.named_parameters()]
    buffers = dict(module.named_buffers())
    again = False

    def run(inputs: Tensor, *parameters: Tensor) -> Tensor:
        nonlocal again
        given = {name: buffer.clone() for name, buffer in buffers.items()} if again else buffers
        again = True
        result: Tensor = functional_call(module, dict(zip(names, parameters, strict=True)) | given, (inputs,))
        return result

    recomputed: Tensor = checkpoint(
        run, features, *module.parameters(), use_reentrant=False, preserve_rng_state=False
    )
    return recomputed
