"""Published rows of the adversarial pruning benchmark (arXiv 2409.01249): theirs, not measured here."""

from dataclasses import dataclass

PAPER = "arXiv 2409.01249"
EPS = 0.031  # Linf; AutoAttack's version "standard" on all 10,000 test images
SPARSITIES = (0.9, 0.95, 0.99)
# ResNet-18 on CIFAR-10, single weights pruned: clean and under AutoAttack, in percent, at each sparsity.
RESNET18_CIFAR10 = {
    "FlyingBird": ((80.69, 46.49), (77.42, 46.10), (75.40, 42.02)),
    "HARP": ((83.38, 45.40), (83.38, 45.69), (83.11, 45.50)),
    "RobustBird": ((78.16, 43.35), (79.27, 44.60), (69.36, 37.08)),
    "HYDRA": ((76.74, 43.34), (76.16, 42.45), (72.21, 38.80)),
    "Li20 (LTH)": ((77.39, 41.31), (73.54, 39.29), (59.42, 31.37)),
    "RST": ((60.92, 14.31), (56.93, 16.76), (48.90, 15.16)),
}
NETWORKS, DATA = ("resnet18", "vgg16"), ("torchvision:CIFAR10", "torchvision:SVHN")
NOT_KNOWN = "not known here"


@dataclass(frozen=True)
class PublishedRow:
    """What its authors measured of one method at one sparsity; accuracies are fractions."""

    method: str
    sparsity: float
    clean: float
    attacked: float


@dataclass(frozen=True)
class Published:
    """The part of the benchmark that belongs beside a run.

    Attributes:
        rows: by method and sparsity; none where they are not known here.
        note: what of the benchmark is not known here.
    """

    rows: tuple[PublishedRow, ...]
    note: str


def find_published(data: str, model: str) -> Published | None:
    """Return what the benchmark has on these images and this network.

    Args:
        data: source of the images, such as ``torchvision:CIFAR10``.
        model: name of the network, such as ``resnet18``.

    Returns:
        None if the benchmark has no such rows: it covers ResNet-18 and VGG-16 on CIFAR-10 and SVHN.
    """
    if data not in DATA or model not in NETWORKS:
        return None
    if (data, model) != (DATA[0], NETWORKS[0]):
        note = f"The benchmark has rows for this network on these images: {NOT_KNOWN}."
        return Published((), note)
    rows = tuple(
        PublishedRow(method, sparsity, clean / 100, attacked / 100)
        for method, measured in RESNET18_CIFAR10.items()
        for sparsity, (clean, attacked) in zip(SPARSITIES, measured, strict=True)
    )
    return Published(rows, f"Its rows for structured pruning: {NOT_KNOWN}.")
