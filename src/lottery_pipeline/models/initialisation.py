"""The three initialisations of the built-in networks; all draw from torch's current generator."""

from torch import nn


def initialise_glorot_(network: nn.Module) -> None:
    """Gaussian Glorot weights and zero biases (Frankle & Carbin 2019, all networks of Fig. 2)."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.xavier_normal_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def initialise_kaiming_(network: nn.Module) -> None:
    """Kaiming normal conv and linear weights, BN weights U(0, 1), all biases zero.

    The open_lth and Concrete Ticket Search experiments use it for CIFAR ResNets and VGGs. They do not mention
    the bias of the last linear layer, which starts at zero here like every other bias.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight)
        else:
            continue
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def initialise_supernet_(network: nn.Module) -> None:
    """Weights as torch draws them, batch-norm weights 1, and attention paths that start silent.

    Scales of units are what a search compares, so all start at 1. The last batch norm of an attention path
    starts at 0, so that the path adds nothing before it has learnt something. On digits a supernet learns
    faster this way than with Kaiming normal weights and attention at full strength.
    """
    for name, module in network.named_modules():
        if isinstance(module, nn.BatchNorm2d) and name.endswith("attention.reverse_norm"):
            nn.init.zeros_(module.weight)
    for name, parameter in network.named_parameters():
        if name.endswith("attention.queries"):
            nn.init.xavier_uniform_(parameter)
