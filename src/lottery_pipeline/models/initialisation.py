"""The two initialisations of the built-in networks; both draw from torch's current generator."""

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
