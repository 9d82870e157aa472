"""Dataset for the dense run: its weights at three moments, its history and metrics."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from lottery_pipeline.datasets.local_files import LocalFileDataset, Recall, hold
from lottery_pipeline.datasets.previews import TablePreview, list_pairs, preview_table

if TYPE_CHECKING:
    from lottery_pipeline.models.spec import ModelSpec
    from lottery_pipeline.training.dense import DenseRun


class DenseRunDataset(LocalFileDataset):
    """A dense run in one safetensors file."""

    def _read(self, path: Path) -> "DenseRun":
        from lottery_pipeline.training.dense_file import load_dense_run

        return load_dense_run(path)

    def _write(self, path: Path, data: "DenseRun") -> Recall | None:
        from lottery_pipeline.training.dense_file import save_dense_run

        save_dense_run(data, path)
        return hold(data, data.initial, data.rewind, data.final)

    def preview(self) -> TablePreview:
        """Return its size and results for Kedro-Viz, from the header alone: no weight leaves the disk."""
        return preview_table(self, lambda path: list_pairs(_summarise(path)))


def _summarise(path: Path) -> dict[str, Any]:
    from lottery_pipeline.training.dense_header import read_header

    header = read_header(path)
    return {
        "model": header.spec.name,
        **_measure_network(header.spec),
        "prunable": header.metrics.get("prunable"),
        **header.metrics,
        "rewind_step": header.rewind_step,
        "seed": header.seed,
        "fingerprint": header.fingerprint,
    }


def _measure_network(spec: "ModelSpec") -> dict[str, int]:
    """Count the prunable layers and all parameters; a user's own factory is not run for a preview."""
    from lottery_pipeline.models.names import is_factory
    from lottery_pipeline.models.prunable import prunable_parameters
    from lottery_pipeline.models.registry import build_model

    if is_factory(spec.name):
        return {}
    model = build_model(spec, seed=0, device="meta")
    return {
        "layers": len(prunable_parameters(model, spec.ignore_layers)),
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
    }
