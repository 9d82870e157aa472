"""The dense run: one training of the full network that keeps theta_0, theta_k and theta_T."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from lottery_pipeline import __version__
from lottery_pipeline.images.splits import ImageSplits
from lottery_pipeline.models.names import ModelError, is_factory
from lottery_pipeline.models.prunable import prunable_parameters
from lottery_pipeline.models.registry import build_model
from lottery_pipeline.models.spec import ModelSpec
from lottery_pipeline.reproducibility.checkpoints import Checkpoints
from lottery_pipeline.reproducibility.files import replace_atomically
from lottery_pipeline.reproducibility.fingerprints import FINGERPRINT_LENGTH, fingerprint, fingerprint_tensors
from lottery_pipeline.reproducibility.seeds import derive_seed
from lottery_pipeline.training.device import pick_device
from lottery_pipeline.training.evaluation import evaluate
from lottery_pipeline.training.loop import OnRecord, State, train
from lottery_pipeline.training.recipe import Recipe

_PARTS = ("initial", "rewind", "final")
_HEADER_KEY = "dense_run"
_LONGEST_HEADER = 2**26
_DTYPES = {torch.float32: "F32", torch.int64: "I64", torch.bool: "BOOL"}  # as safetensors names them
_Fingerprint = Annotated[str, Field(pattern=f"^[0-9a-f]{{{FINGERPRINT_LENGTH}}}$")]
_Number = int | float | None


class DenseRunError(ValueError):
    """A dense run that is damaged, or that does not belong to the images or the model at hand."""


class OutdatedDenseRunError(DenseRunError):
    """A dense run of an older version, whose content cannot be checked."""


@dataclass(frozen=True, eq=False)
class DenseRun:
    """A finished dense training.

    Attributes:
        spec: of the network.
        recipe: it was trained with.
        seed: of the run; initialisation and training seeds are derived from it.
        rewind_step: k, steps between theta_0 and theta_k.
        initial: theta_0, a full state dict on the CPU.
        rewind: theta_k; equal to theta_0 for k = 0.
        final: theta_T.
        history: a row per epoch, as of ``train``.
        metrics: test_accuracy, test_loss, validation_accuracy (None without validation images), seconds,
            epochs, early_stop_step, prunable (D).
        images_fingerprint: of the images it was trained on.
        fingerprint: of images, specification, recipe, seed and rewind step.
    """

    spec: ModelSpec
    recipe: Recipe
    seed: int
    rewind_step: int
    initial: State
    rewind: State
    final: State
    history: list[dict[str, Any]]
    metrics: dict[str, Any]
    images_fingerprint: str
    fingerprint: str


def pretrain(
    images: ImageSplits,
    spec: ModelSpec,
    recipe: Recipe,
    *,
    rewind_epoch: float,
    seed: int,
    device: str = "auto",
    checkpoints: Checkpoints | None = None,
    on_record: OnRecord | None = None,
    stored: DenseRun | None = None,
    allow_factory: str | None = None,
    initial: State | None = None,
    label: str = "dense",
) -> DenseRun:
    """Train the dense network and keep its state at the start, at the rewind point and at the end.

    Args:
        images: to train and measure on.
        spec: of the network; it must describe these images.
        recipe: how to train.
        rewind_epoch: k in epochs, fractions allowed: k = round(rewind_epoch * steps per epoch).
        seed: of the run.
        device: where to train.
        checkpoints: to survive interruptions.
        on_record: called with every history row.
        stored: an earlier result, returned as it is when it is the one that would be computed.
        allow_factory: the user's own model factory, where ``spec`` names one.
        initial: theta_0, a full state dict; drawn from the seed where it is not given.
        label: shown with the progress.

    Raises:
        DenseRunError: the specification does not describe these images.
        RecipeError: the rewind point is not before the end of the training.
    """
    check_images(spec, images)
    if not len(images.test):
        raise DenseRunError("there are no test images to measure the dense network on")
    rewind_step = recipe.rewind_step(len(images.train), rewind_epoch)
    identity = fingerprint(
        {
            "kind": "dense_run",
            "version": __version__,
            "images": images.fingerprint,
            "spec": spec.model_dump(mode="json"),
            "recipe": recipe.record(),
            "seed": seed,
            "rewind_step": rewind_step,
            **({"initial": fingerprint_tensors(initial)} if initial is not None else {}),
        }
    )
    if stored is not None and stored.fingerprint == identity:
        return stored
    chosen = pick_device(device)
    model = build_model(spec, seed=derive_seed(seed, "initialisation"), allow_factory=allow_factory)
    if initial is not None:
        model.load_state_dict(initial)
    prunable = sum(weight.numel() for weight in prunable_parameters(model, spec.ignore_layers).values())
    training = train(
        model,
        images,
        recipe,
        seed=derive_seed(seed, "dense"),
        snapshot_steps=(0, rewind_step),
        device=chosen,
        checkpoints=checkpoints,
        on_record=on_record,
        label=label,
    )
    test = evaluate(model, images.test, device=chosen)
    metrics = {
        "test_accuracy": test["accuracy"],
        "test_loss": test["loss"],
        "validation_accuracy": training.history[-1]["validation_accuracy"],
        "seconds": training.seconds,
        "epochs": training.epochs,
        "early_stop_step": training.early_stop_step,
        "prunable": prunable,
    }
    return DenseRun(
        spec=spec,
        recipe=recipe,
        seed=seed,
        rewind_step=rewind_step,
        initial=training.snapshots[0],
        rewind=training.snapshots[rewind_step],
        final=training.state,
        history=training.history,
        metrics=metrics,
        images_fingerprint=images.fingerprint,
        fingerprint=identity,
    )


def check_images(spec: ModelSpec, images: ImageSplits) -> None:
    """Check that a model specification describes these images.

    Raises:
        DenseRunError: it does not; the difference is named.
    """
    pairs = {
        "num_classes": (spec.num_classes, images.num_classes),
        "channels": (spec.channels, images.channels),
        "image_size": (tuple(spec.image_size), tuple(images.image_size)),
    }
    for name, (ours, theirs) in pairs.items():
        if ours != theirs:
            raise DenseRunError(f"the model is made for {name} {ours}, but the images have {theirs}")


class _Header(BaseModel):
    """JSON header of a file of a dense run; a file may come from anywhere, so every field is checked."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    format_version: Literal[1] = 1
    spec: ModelSpec
    recipe: Recipe
    seed: int = Field(ge=0, lt=2**63)
    rewind_step: int = Field(ge=0)
    history: list[dict[str, _Number]]
    metrics: dict[str, _Number]
    images_fingerprint: _Fingerprint
    fingerprint: _Fingerprint
    sha256: _Fingerprint | None = None  # of the rest of the header and all tensors


_HEADER_FIELDS = tuple(name for name in _Header.model_fields if name not in ("format_version", "sha256"))


def save_dense_run(run: DenseRun, path: str | Path) -> None:
    """Write a dense run as one safetensors file with a sum of its content, atomically."""
    fields = _Header(**{name: getattr(run, name) for name in _HEADER_FIELDS})
    record = json.loads(fields.model_dump_json(exclude={"sha256"}))
    tensors = {f"{part}/{name}": t.contiguous() for part in _PARTS for name, t in getattr(run, part).items()}
    # Clones: for k = 0, or with tied weights, parts share memory, which safetensors refuses.
    tensors = {name: tensor.clone() for name, tensor in tensors.items()}
    header = json.dumps({**record, "sha256": _checksum(record, tensors)})
    with replace_atomically(path) as temporary:
        save_file(tensors, temporary, metadata={_HEADER_KEY: header})


def load_dense_run(path: str | Path) -> DenseRun:
    """Read what ``save_dense_run`` wrote, trusting nothing in it.

    The three states must have the names, types and shapes of the network that the header specifies (for a
    user's own factory, whose code is not run here: of one another), finite values, and the sum of the content
    that is stored beside them.

    Raises:
        FileNotFoundError: there is no such file.
        OutdatedDenseRunError: an older version wrote it, without that sum.
        DenseRunError: the file is not a dense run, or is damaged.
    """
    try:
        _check_header_length(Path(path))
        with safe_open(path, framework="pt", device="cpu") as file:
            record = _read_record(file.metadata())
            header = _check_header(record)
            _check_index({name: file.get_slice(name) for name in file.keys()}, header)  # noqa: SIM118
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        _check_values(tensors)
        if header.sha256 is None:
            raise OutdatedDenseRunError(
                f"{path} was written by an older version, without a SHA-256 sum of its content; "
                "remove it and run the pipeline that makes it (dense_pretraining makes the dense run)"
            )
        if header.sha256 != _checksum(record, tensors):
            raise DenseRunError("its content does not agree with its SHA-256 sum, so it is damaged")
    except (FileNotFoundError, OutdatedDenseRunError):
        raise
    except (SafetensorError, OSError, DenseRunError, ModelError) as error:
        raise DenseRunError(
            f"{path} is not a valid dense run: {error}; remove it and run the pipeline that makes it "
            "(dense_pretraining makes the dense run)"
        ) from error
    content: dict[str, Any] = {name: getattr(header, name) for name in _HEADER_FIELDS}
    for part in _PARTS:
        prefix = f"{part}/"
        content[part] = {key.removeprefix(prefix): t for key, t in tensors.items() if key.startswith(prefix)}
    return DenseRun(**content)


def _check_header_length(path: Path) -> None:
    """Look at the length that the file gives its header before anybody reads that much."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
    if length > min(_LONGEST_HEADER, path.stat().st_size):
        raise DenseRunError("it is cut off, or no safetensors file")


def _read_record(metadata: dict[str, str] | None) -> dict[str, Any]:
    try:
        return dict(json.loads((metadata or {})[_HEADER_KEY]))
    except KeyError as error:
        raise DenseRunError("it has no header of a dense run") from error
    except (ValueError, TypeError, RecursionError) as error:
        raise DenseRunError("its header is not a JSON object") from error


def _check_header(record: dict[str, Any]) -> _Header:
    try:
        return _Header.model_validate(record)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(step) for step in first["loc"]) or "header"
        raise DenseRunError(f"{place} in its header: {first['msg']}") from error


def _checksum(record: dict[str, Any], tensors: State) -> str:
    """Hash the header, without the sum itself, and the tensors; it finds damage, not forgery."""
    header = {name: value for name, value in record.items() if name != "sha256"}
    return fingerprint({"header": header, "tensors": fingerprint_tensors(tensors)})


def _check_index(index: dict[str, Any], header: _Header) -> None:
    """Compare names, types and shapes with the specified network, before a tensor is made."""
    found: dict[str, dict[str, tuple[str, list[int]]]] = {part: {} for part in _PARTS}
    for key, entry in index.items():
        part, _, name = key.partition("/")
        if part not in found:
            raise DenseRunError(f"tensor {key!r} does not belong in it")
        found[part][name] = (entry.get_dtype(), entry.get_shape())
    for part in _PARTS[1:]:
        if found[part] != found["initial"]:
            raise DenseRunError(f"its {part} state and its initial state differ in names, types or shapes")
    if is_factory(header.spec.name):
        return
    model = build_model(header.spec, seed=0, device="meta")
    expected = {name: (_DTYPES.get(t.dtype), list(t.shape)) for name, t in model.state_dict().items()}
    if found["initial"] != expected:
        raise DenseRunError(f"its tensors are not those of the network {header.spec.name}")


def _check_values(tensors: dict[str, Tensor]) -> None:
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            raise DenseRunError(f"tensor {name!r} holds values that are not finite")
