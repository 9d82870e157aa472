"""The supernet: branches of falling resolution that are fused with their neighbours, stage by stage.

The search space of HR-NAS (arXiv 2106.06560), in which SuperTickets (arXiv 2207.03677) are found. Modules
have names, not numbers: what a search leaves keeps the names it had.
"""

from collections import OrderedDict
from collections.abc import Mapping

from torch import Tensor, nn
from torch.nn.functional import interpolate, relu

from lottery_pipeline.models.initialisation import initialise_supernet_
from lottery_pipeline.models.names import ModelError
from lottery_pipeline.models.spec import ModelSpec
from lottery_pipeline.models.supernet.block import SearchBlock, batch_norm
from lottery_pipeline.models.supernet.config import Stage, Supernet
from lottery_pipeline.models.supernet.heads import ClassificationHead, DenseHead
from lottery_pipeline.models.supernet.layout import check_parameters, fuse_sources, lay_out


def build_supernet(spec: ModelSpec) -> "SupernetNetwork":
    """Build the network of a specification, full or as small as its architecture says, with fresh weights.

    Raises:
        ModelError: see ``lay_out`` and ``check_parameters``.
    """
    if spec.supernet is None:
        raise ModelError("a supernet cannot be built without its configuration")
    layouts = lay_out(spec.supernet, spec.image_size, spec.architecture)
    check_parameters(spec.supernet, layouts.values(), spec.num_classes)
    blocks = {
        name.removeprefix("network."): SearchBlock(layout, spec.supernet) for name, layout in layouts.items()
    }
    return SupernetNetwork(spec.supernet, blocks, spec.channels, spec.num_classes)


class SupernetNetwork(nn.Module):
    """Stem, stages, head and last layer.

    Args:
        config: of the supernet.
        blocks: the searchable blocks by their name in this module.
        channels: of an image.
        num_classes: number of outputs.
    """

    def __init__(
        self, config: Supernet, blocks: Mapping[str, nn.Module], channels: int, num_classes: int
    ) -> None:
        super().__init__()
        self.stem = Stem(channels, config)
        self.stages = nn.ModuleDict()
        branches = 1
        for number, stage in enumerate(config.stages, 1):
            name = f"s{number}"
            self.stages[name] = FusedStage(stage, _inside(blocks, f"stages.{name}."), branches)
            branches = len(stage.channels)
        head = _inside(blocks, "head.")
        self.head: nn.Module
        self.fc: nn.Module
        if config.head.task == "classification":
            self.head = ClassificationHead(head, config)
            self.fc = nn.Linear(config.head_width(), num_classes)
        else:
            self.head = DenseHead(head)
            self.fc = nn.Conv2d(config.head_width(), num_classes, 1)
        initialise_supernet_(self)

    def forward(self, images: Tensor) -> Tensor:
        """Return [N, outputs], or [N, outputs, H, W] for a dense task, of normalised images [N, C, H, W].

        The maps of a dense task have the size of the finest branch: that of the images over ``input_stride``.
        """
        branches = [self.stem(images)]
        for stage in self.stages.values():
            branches = stage(branches)
        outputs: Tensor = self.fc(self.head(branches))
        return outputs


class Stem(nn.Module):
    """One 3x3 convolution, or two, with batch norm and ReLU."""

    def __init__(self, channels: int, config: Supernet) -> None:
        super().__init__()
        width, stride = config.stem_channels, min(2, config.input_stride)
        self.conv1 = nn.Conv2d(channels, width, 3, stride, padding=1, bias=False)
        self.norm1 = batch_norm(width, config)
        self.conv2: nn.Module | None = None
        if config.input_stride == 4:
            self.conv2 = nn.Conv2d(width, width, 3, 2, padding=1, bias=False)
            self.norm2 = batch_norm(width, config)

    def forward(self, images: Tensor) -> Tensor:
        """Map images [N, C, H, W] to [N, width, H / input_stride, W / input_stride]."""
        features = relu(self.norm1(self.conv1(images)))
        return features if self.conv2 is None else relu(self.norm2(self.conv2(features)))


class FusedStage(nn.Module):
    """Fuses neighbouring branches, adds a new one if it has more, and runs a chain of blocks on each.

    Args:
        stage: of the configuration.
        blocks: ``fuse.from<j>_to<i>`` and ``branch<i>.block<b>``.
        branches_in: number of branches that enter.
    """

    def __init__(self, stage: Stage, blocks: Mapping[str, nn.Module], branches_in: int) -> None:
        super().__init__()
        self.fuse = nn.ModuleDict(_inside(blocks, "fuse."))
        self.sources = [fuse_sources(branches_in, branch) for branch in range(len(stage.channels))]
        self.branches_in = branches_in
        for branch in range(len(stage.channels)):
            name = f"branch{branch + 1}"
            self.add_module(name, nn.Sequential(OrderedDict(_inside(blocks, f"{name}."))))

    def forward(self, branches: list[Tensor]) -> list[Tensor]:
        """Map feature maps [N, C_i, H_i, W_i], finest first, to as many or one more."""
        fused: list[Tensor] = []
        for branch, sources in enumerate(self.sources):
            if branch < self.branches_in:
                fused.append(relu(self._add_up(branches, branch, sources)))
            else:
                fused.append(self.fuse[f"from{branch}_to{branch + 1}"](fused[-1]))
        return [self.get_submodule(f"branch{number}")(maps) for number, maps in enumerate(fused, 1)]

    def _add_up(self, branches: list[Tensor], branch: int, sources: list[int]) -> Tensor:
        terms = [self.fuse[f"from{source + 1}_to{branch + 1}"](branches[source]) for source in sources]
        total, size = terms[0], terms[0].shape[2:]
        for source, term in zip(sources[1:], terms[1:], strict=True):
            # Straight to the size of the first term. The released code doubles the size, then resizes once
            # more, bilinearly; on even sizes both are the same.
            total = total + (interpolate(term, size=size, mode="nearest") if source > branch else term)
        return total


def _inside(blocks: Mapping[str, nn.Module], prefix: str) -> dict[str, nn.Module]:
    return {name.removeprefix(prefix): block for name, block in blocks.items() if name.startswith(prefix)}
