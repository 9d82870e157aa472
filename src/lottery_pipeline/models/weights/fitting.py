"""Fits the tensors of a file to a network: by name, then by shape, and never in silence.

Two layers may differ: the last one may be for other classes, and the first convolution for another number of
channels. Anything else that is missing or has another shape is the weights of another network.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile

import torch
from torch import Tensor, nn

from lottery_pipeline.models.ties import find_ties
from lottery_pipeline.models.weights.choice import MisfitError, WeightsError
from lottery_pipeline.models.weights.record import list_names

_OWN_PREFIX = "network."
_ANYWHERE = ("module", "_orig_mod")  # DataParallel, torch.compile
_IN_FRONT = ("model", "network", "net")  # scripts that wrap the network into a module of their own
_COUNTER = ".num_batches_tracked"  # files of old versions of torch lack it, and nothing depends on it
_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
_MOST_CHANNELS, _LONGEST_NAME = 16, 300
_FEWEST_UNUSED, _UNUSED_SHARE = 4, 10  # auxiliary heads have a few tensors that have no place


@dataclass(frozen=True, eq=False)
class Fit:
    """Which tensors a network takes from a file.

    Attributes:
        taken: copies by the network's names, of its shapes and types.
        fresh: tensors of the last layer that are not taken.
        classes: of the file's last layer if their number is another.
        adapted: the weight whose input channels were added up or spread.
        converted: number types other than the network's.
        unused: names of tensors of the file that have no place in the network.
    """

    taken: dict[str, Tensor]
    fresh: tuple[str, ...]
    classes: int | None
    adapted: tuple[str, ...]
    converted: tuple[str, ...]
    unused: tuple[str, ...]


def fit_weights(
    model: nn.Module, stored: Mapping[str, Tensor], *, name: str, num_classes: int, channels: int
) -> Fit:
    """Choose the tensors of a file that a network takes, and copy them.

    Another number of input channels is fitted so that grey images give what they gave before: the channels of
    the first convolution are added up for one channel, and one channel is divided among several.

    Args:
        model: a classifier, whose names start with ``network.``; it stays as it is.
        stored: tensors by the file's names, with or without prefixes such as ``module.``.
        name: of the network, for errors.
        num_classes: of the network's outputs.
        channels: of the images.

    Raises:
        WeightsError: a tensor is missing, has another shape, another kind of numbers or values that are not
            finite, or the file is of another network; one sentence.
    """
    own: dict[str, Tensor] = dict(model.state_dict())
    found, unused = _match_names(own, find_ties(model), stored)
    fresh, classes = _spare_head(own, found, stored, num_classes)
    wanted = [key for key in own if key not in fresh]
    missing = [key for key in wanted if key not in found and not key.endswith(_COUNTER)]
    adapted = tuple(
        key for key in wanted if key in found and _is_other_stem(key, own, stored[found[key]], channels)
    )
    wrong = [
        key
        for key in wanted
        if key in found and stored[found[key]].shape != own[key].shape and key not in adapted
    ]
    _check_network(name, len(wanted), missing, [(found[key], key) for key in wrong], own, stored, unused)
    taken = {
        key: _copy(found[key], stored[found[key]], own[key], adapt=key in adapted)
        for key in wanted
        if key in found
    }
    kinds = {stored[found[key]].dtype for key in taken if own[key].is_floating_point()} - {torch.float32}
    return Fit(
        taken=taken,
        fresh=tuple(map(_shorten, fresh)),
        classes=classes,
        adapted=tuple(map(_shorten, adapted)),
        converted=tuple(sorted(str(kind).removeprefix("torch.") for kind in kinds)),
        unused=tuple(unused),
    )


def _shorten(name: str) -> str:
    return name.removeprefix(_OWN_PREFIX)


def _match_names(
    own: Mapping[str, Tensor], ties: Mapping[str, str], stored: Mapping[str, Tensor]
) -> tuple[dict[str, str], list[str]]:
    """Return the file's name of each tensor that is there, and the names that have no place."""
    places = {_shorten(further): first for further, first in ties.items()}
    places |= {_shorten(key): key for key in own}
    candidates: dict[str, list[tuple[int, str]]] = {}
    unused = []
    for name in stored:
        forms = list(_list_forms(name)) if len(name) <= _LONGEST_NAME else []
        place = next((place for place, form in enumerate(forms) if form in places), None)
        if place is None:
            unused.append(name)
        else:
            candidates.setdefault(places[forms[place]], []).append((place, name))
    found = {}
    for key, names in candidates.items():
        (fewest, chosen), *others = sorted(names)
        if others and others[0][0] == fewest and key not in ties.values():
            twice = list_names([name for _, name in names])
            raise WeightsError(f"it has {list_names([_shorten(key)])} more than once: {twice}")
        found[key] = chosen
        unused += [] if key in ties.values() else [name for _, name in others]
    return found, unused


def _list_forms(name: str) -> Iterator[str]:
    """Yield a name as it is, and then with ever more of its prefixes taken away."""
    whole = name.split(".")
    for parts in (whole, [part for part in whole if part not in _ANYWHERE]):
        wrappers = list(takewhile(lambda part: part in (*_ANYWHERE, *_IN_FRONT), parts))
        for count in range(len(wrappers) + 1):
            yield ".".join(parts[count:])


def _spare_head(
    own: Mapping[str, Tensor], found: Mapping[str, str], stored: Mapping[str, Tensor], num_classes: int
) -> tuple[tuple[str, ...], int | None]:
    """Return the tensors of the last layer if the file has none, or one for another number of classes."""
    heads = [key for key, tensor in own.items() if tensor.dim() > 1 and len(tensor) == num_classes]
    if not heads:
        return (), None
    layer = heads[-1].rpartition(".")[0] + "."
    tensors = tuple(key for key in own if key.startswith(layer))
    if heads[-1] not in found:
        return tensors, None
    other, wanted = stored[found[heads[-1]]].shape, own[heads[-1]].shape
    if other[1:] == wanted[1:] and other[:1] != wanted[:1]:
        return tensors, int(other[0])
    return (), None


def _is_other_stem(key: str, own: Mapping[str, Tensor], other: Tensor, channels: int) -> bool:
    """Whether a weight is the first convolution's, for another number of channels that can be fitted."""
    weight = own[key]
    if key != next((name for name, tensor in own.items() if tensor.dim() == 4), None) or other.dim() != 4:
        return False
    return (
        weight.shape[1] == channels
        and other.shape[1] != channels
        and 1 in (channels, other.shape[1])
        and other.shape[1] <= _MOST_CHANNELS
        and (other.shape[0], *other.shape[2:]) == (weight.shape[0], *weight.shape[2:])
    )


def _check_network(
    name: str,
    count: int,
    missing: Sequence[str],
    wrong: Sequence[tuple[str, str]],
    own: Mapping[str, Tensor],
    stored: Mapping[str, Tensor],
    unused: Sequence[str],
) -> None:
    """Refuse the weights of another network, with the plainest reason first."""
    fitting = count - len(missing) - len(wrong)
    if 2 * fitting < count:
        raise MisfitError(
            f"it has the weights of another network: of the {count} tensors of {name}, only {fitting} are in "
            "it with the same name and shape"
        )
    if missing:
        names = list_names([_shorten(key) for key in missing])
        raise WeightsError(f"it lacks {len(missing)} of the {count} tensors of {name}: {names}")
    if wrong:
        theirs, key = wrong[0]
        more = f", and {len(wrong) - 1} more differ" if len(wrong) > 1 else ""
        raise MisfitError(
            f"its {list_names([theirs])} has the shape {list(stored[theirs].shape)}, but {name} has "
            f"{list(own[key].shape)} there for these images{more}"
        )
    if len(unused) > max(_FEWEST_UNUSED, len(stored) // _UNUSED_SHARE):
        raise WeightsError(
            f"{len(unused)} of its {len(stored)} tensors have no place in {name} ({list_names(unused)}), so "
            f"it seems to be a larger network or more than one; save the state dict of {name} alone"
        )


def _copy(name: str, tensor: Tensor, own: Tensor, *, adapt: bool) -> Tensor:
    """Return a copy with the type and the shape of the network's own tensor."""
    shown = list_names([name])
    plain = tensor.layout is torch.strided and tensor.device.type == "cpu" and not tensor.is_quantized
    if not plain or (tensor.dtype not in _FLOATS if own.is_floating_point() else tensor.is_complex()):
        raise WeightsError(
            f"its {shown} holds {str(tensor.dtype).removeprefix('torch.')} numbers; weights must be float16, "
            "bfloat16, float32 or float64, and neither sparse nor quantised"
        )
    if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
        raise WeightsError(f"its {shown} holds values that are not finite")
    source = tensor.detach()
    if adapt:
        source = source.float()
        source = source.sum(1, keepdim=True) if own.shape[1] == 1 else source / own.shape[1]
    copy = torch.empty_like(own).copy_(source)
    if copy.is_floating_point() and not bool(copy.isfinite().all()):
        raise WeightsError(f"its {shown} holds values that float32 cannot hold")
    return copy
