"""The checks of a run that several processes are started for, before its first node."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from lottery_pipeline.hooks.claims import has_workers
from lottery_pipeline.hooks.image_checks import RECIPES
from lottery_pipeline.options import METHODS, MaskSearchOptions
from lottery_pipeline.training.ranks import START, ParallelError, Ranks, read_ranks


def check_processes(
    wanted: Collection[str], parameters: Mapping[str, Any], run_params: Mapping[str, Any]
) -> Iterator[str]:
    """Yield what speaks against training with the processes that torchrun has started, a sentence each.

    Args:
        wanted: parameter groups that the run reads.
        parameters: typed groups.
        run_params: of Kedro.
    """
    try:
        ranks = read_ranks()
    except ParallelError as error:
        yield str(error)
        return
    if ranks is None:
        return
    from lottery_pipeline.training.parallel import is_joined

    if not is_joined():
        yield (
            f"torchrun has started {ranks.world} processes, and each of them would do the whole run; start "
            f"them with `{START}` and the options of `kedro run`."
        )
    if has_workers(run_params):
        yield (
            f"--runner ParallelRunner cannot be used with {ranks.world} processes that train together; leave "
            "it out."
        )
    if "device" in wanted:
        yield from _check_device(parameters["device"], ranks)
    for name, size in _list_batches(wanted, parameters):
        if size < ranks.world:
            yield (
                f"Parameter {name} is {size}, but {ranks.world} processes share every batch; start fewer, or "
                "choose a larger batch."
            )


def _check_device(name: str, ranks: Ranks) -> Iterator[str]:
    import torch

    from lottery_pipeline.training.device import DeviceError, pick_device

    try:
        device = pick_device(name)
    except DeviceError:
        return  # said by the check of the device
    if device.type == "mps":
        yield (
            f"Parameter device is {name!r}, which is mps here, but {ranks.world} processes can train "
            "together on cpu or cuda alone."
        )
    if device.type == "cuda" and ranks.local_world > torch.cuda.device_count():
        yield (
            f"torchrun has started {ranks.local_world} processes here, each of which needs a card of its "
            f"own, but there are {torch.cuda.device_count()} CUDA devices; start fewer, or use device=cpu."
        )
    elif device.type == "cuda" and device.index != ranks.local:
        yield (
            f"Parameter device is {name!r}, but with {ranks.world} processes each takes the card of its own "
            "number; use auto or cuda, and choose cards with CUDA_VISIBLE_DEVICES."
        )


def _list_batches(wanted: Collection[str], parameters: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    """Yield the batch sizes of everything that is trained, by the names of the parameters."""
    for name in RECIPES:
        if name in wanted:
            pretraining = parameters["pretraining"]
            recipe = pretraining if name == "pretraining" else parameters[name].recipe(pretraining)
            yield f"{name}.batch_size", recipe.batch_size
    for method in METHODS:
        if f"{method}.extraction" in wanted:
            options = parameters[method].extraction
            if isinstance(options, MaskSearchOptions) and options.batch_size is not None:
                yield f"{method}.extraction.batch_size", options.batch_size
