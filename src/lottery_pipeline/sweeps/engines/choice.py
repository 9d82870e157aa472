"""Which engine computes a sweep."""

import os
from pathlib import Path

import joblib

from lottery_pipeline.sweeps.engines import Engine, share_cores
from lottery_pipeline.sweeps.request import RAY, SweepError, SweepRequest


def open_engine(request: SweepRequest, project: Path, data_root: Path) -> Engine:
    """Return what computes the points.

    Args:
        request: of the sweep.
        project: the project's folder.
        data_root: folder of all results.

    Raises:
        SweepError: it has no GPU, and one is asked for; or the Ray cluster cannot be used.
    """
    if request.engine == RAY:
        from lottery_pipeline.sweeps.engines.ray import RayEngine

        return RayEngine(
            request.address,
            project=project,
            data_root=data_root,
            workers=request.workers,
            points_per_worker=request.max_points_per_worker,
            cpus_per_point=request.cpus_per_point,
            gpus_per_point=request.gpus_per_point,
        )
    return open_local_engine(request)


def open_local_engine(request: SweepRequest) -> Engine:
    """Return the worker processes of this machine; see ``open_engine``."""
    from lottery_pipeline.sweeps.engines.local import LocalEngine

    cards = find_cards() if request.gpus_per_point else []
    if request.gpus_per_point and not cards:
        raise SweepError("gpus_per_point is above 0, but this machine shows no GPU; set it to 0.")
    cores = joblib.cpu_count()  # that this process may use
    workers = request.workers or len(cards) or max(1, cores // request.cpus_per_point)
    threads = share_cores(workers, cores)
    return LocalEngine(
        workers,
        points_per_worker=1 if cards else request.max_points_per_worker,
        environment=[threads | {"CUDA_VISIBLE_DEVICES": card} for card in cards] or [threads],
    )


def find_cards() -> list[str]:
    """Return the GPUs that this process may use, as ``CUDA_VISIBLE_DEVICES`` names them."""
    if (visible := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        return [card for card in visible.split(",") if card.strip()]
    import torch

    return [str(number) for number in range(torch.cuda.device_count())]
