"""theta_0, the weights that a dense run starts from: drawn from the seed, or brought by the user."""

from dataclasses import dataclass
from pathlib import Path

from lottery_pipeline.models.classifier import Classifier
from lottery_pipeline.models.registry import build_model
from lottery_pipeline.models.spec import ModelSpec
from lottery_pipeline.models.weights.choice import names_torchvision
from lottery_pipeline.models.weights.files import open_weights
from lottery_pipeline.models.weights.fitting import fit_weights
from lottery_pipeline.models.weights.record import MOST_NAMES, WeightsRecord
from lottery_pipeline.models.weights.torchvision_cache import find_cached
from lottery_pipeline.reproducibility.fingerprints import fingerprint_tensors
from lottery_pipeline.reproducibility.seeds import derive_seed
from lottery_pipeline.training.result import State

# A file may hold an optimiser's state, averages and double precision beside the weights.
_MOST_COPIES, _MOST_BESIDE = 16, 64 * 2**20


@dataclass(frozen=True, eq=False)
class Theta0:
    """Weights that a user brings.

    Attributes:
        state: full state dict of the classifier, on the CPU.
        record: what was taken from the file and what was not.
    """

    state: State
    record: WeightsRecord


def draw_model(spec: ModelSpec, *, seed: int, allow_factory: str | None = None) -> Classifier:
    """Build a network with the weights that a dense run of this seed starts from."""
    return build_model(spec, seed=derive_seed(seed, "initialisation"), allow_factory=allow_factory)


def read_theta_0(
    spec: ModelSpec, weights: str | Path, *, seed: int, allow_factory: str | None = None
) -> Theta0:
    """Read the weights of a network from a file; a last layer that it lacks is drawn from the seed.

    Args:
        spec: the network's specification.
        weights: path of a safetensors file or of what ``torch.save`` has written, or a name of torchvision
            such as ``IMAGENET1K_V1``, which must be in the cache.
        seed: the run's seed.
        allow_factory: the user's own model factory, if ``spec`` names one.

    Raises:
        WeightsError: there are no such weights, they cannot be read safely, or they are those of another
            network; one sentence.
        ModelError: the network cannot be built.
    """
    named = names_torchvision(str(weights))
    path = find_cached(str(weights), spec.name) if named else Path(weights)
    model = draw_model(spec, seed=seed, allow_factory=allow_factory)
    own = model.state_dict()
    size = sum(tensor.numel() * tensor.element_size() for tensor in own.values())
    with open_weights(path, most=_MOST_COPIES * size + _MOST_BESIDE) as stored:
        fit = fit_weights(model, stored, name=spec.name, num_classes=spec.num_classes, channels=spec.channels)
    record = WeightsRecord(
        file=(f"{weights} ({path.name})" if named else path.name)[:300],
        tensors=len(own),
        tensors_taken=len(fit.taken),
        values=sum(tensor.numel() for tensor in own.values()),
        values_taken=sum(tensor.numel() for tensor in fit.taken.values()),
        fresh=fit.fresh,
        classes=fit.classes,
        adapted=fit.adapted,
        converted=fit.converted,
        unused=len(fit.unused),
        unused_names=tuple(name[:300] for name in fit.unused[:MOST_NAMES]),
        sha256=fingerprint_tensors(fit.taken),
    )
    return Theta0({name: fit.taken.get(name, tensor) for name, tensor in own.items()}, record)
