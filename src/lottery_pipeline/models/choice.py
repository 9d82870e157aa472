"""What a user may choose as ``model.name``, and the specification that it stands for. Imports no torch.

A specification from a file never chooses: it holds what ``supernet:<preset or file>`` stood for, so reading
one opens no other file.
"""

from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from lottery_pipeline.models.names import SUPERNET, SUPERNET_PREFIX, ModelError, check_model_name, suggest
from lottery_pipeline.models.spec import ModelSpec
from lottery_pipeline.models.supernet.architecture import BlockWidths
from lottery_pipeline.models.supernet.architecture_file import read_architecture
from lottery_pipeline.models.supernet.choice import choose_supernet
from lottery_pipeline.models.supernet.config import Supernet
from lottery_pipeline.models.supernet.presets import PRESETS
from lottery_pipeline.options.faults import describe_file_fault
from lottery_pipeline.options.task import TaskName

_ENDING = ".json"
_PATH_LENGTH = 4096


def check_choice(name: str) -> None:
    """Check the form of ``model.name``; opens nothing, so a file that it names need not exist.

    Args:
        name: a built-in, ``supernet:<preset>``, ``supernet:<path>.json``, ``torchvision:<name>`` or
            ``package.module:factory``.

    Raises:
        ModelError: the name has none of these forms.
    """
    if name == SUPERNET:
        raise ModelError(f"model {SUPERNET!r} does not say which supernet; {_allowed()}")
    if not is_supernet(name):
        check_model_name(name)
        return
    choice = name.removeprefix(SUPERNET_PREFIX)
    if choice in PRESETS or (choice.endswith(_ENDING) and len(choice) <= _PATH_LENGTH):
        return
    raise ModelError(
        f"unknown supernet {choice[:100]!r}{suggest(choice[:100], tuple(PRESETS))}; {_allowed()}"
    )


def is_supernet(name: str) -> bool:
    """Whether ``model.name`` chooses a supernet."""
    return name.startswith(SUPERNET_PREFIX)


def resolve_choice(name: str, folder: Path) -> str:
    """Let the relative path in ``supernet:<path>.json`` start at a folder; other names stay."""
    if not is_supernet(name) or not name.endswith(_ENDING):
        return name
    return f"{SUPERNET_PREFIX}{folder / Path(name.removeprefix(SUPERNET_PREFIX)).expanduser()}"


def specify_model(
    name: str,
    *,
    ignore_layers: Sequence[str],
    num_classes: int,
    channels: int,
    image_size: tuple[int, int],
    mean: Sequence[float],
    std: Sequence[float],
    task: TaskName = "classification",
) -> ModelSpec:
    """Return the specification that ``model.name`` stands for.

    Args:
        name: see ``check_choice``; a relative path in it starts at the working directory.
        ignore_layers: fnmatch patterns of layers that are never pruned.
        num_classes: number of outputs.
        channels: channels of an image.
        image_size: height and width of an image, pixels.
        mean: mean per channel of the training pixels, in [0, 1] pixel units.
        std: standard deviation per channel, same units.
        task: of the images; only a supernet can do other tasks than classification.

    Raises:
        ModelError: the name has none of the allowed forms, its file cannot be read or holds a network for
            another task, or the values do not make a specification.
    """
    check_choice(name)
    supernet: Supernet | None = None
    architecture: tuple[BlockWidths, ...] = ()
    if is_supernet(name):
        supernet, architecture = _choose(name.removeprefix(SUPERNET_PREFIX), task)
    elif task != "classification":
        raise ModelError(f"model {name!r} classifies images, but these are for {task}; {_allowed()}")
    try:
        return ModelSpec(
            name=name if supernet is None else SUPERNET,
            ignore_layers=tuple(ignore_layers),
            num_classes=num_classes,
            channels=channels,
            image_size=image_size,
            mean=tuple(mean),
            std=tuple(std),
            supernet=supernet,
            architecture=architecture,
        )
    except ValidationError as error:
        fault = describe_file_fault(ModelSpec, error)
        raise ModelError(f"model {name!r} cannot be specified: {fault}") from error


def _choose(choice: str, task: TaskName) -> tuple[Supernet, tuple[BlockWidths, ...]]:
    if choice in PRESETS:
        return choose_supernet(choice, task=task), ()
    found = read_architecture(Path(choice))
    if found.architecture and found.supernet.head.task != task:
        raise ModelError(
            f"the architecture {choice} was found for {found.supernet.head.task}, but these images are for "
            f"{task}; start from a preset or from images for {found.supernet.head.task}"
        )
    return found.supernet.for_task(task), found.architecture


def _allowed() -> str:
    presets = ", ".join(f"{SUPERNET_PREFIX}{name}" for name in PRESETS)
    return f"allowed are {presets} and {SUPERNET_PREFIX}<path>{_ENDING}, a file that a search has written"
