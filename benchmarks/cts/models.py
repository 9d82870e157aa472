"""A network of the study of CTS against rewinding that is not a built-in."""

from torch import nn

from lottery_pipeline.models.resnet import CifarResNet


def resnet20_of_torch(num_classes: int, channels: int) -> nn.Module:
    """Build ResNet-20 with the initialisation that PyTorch gives its layers.

    Kaiming uniform with a = sqrt(5), so weights smaller by sqrt(6) than those of ``initialise_kaiming_``, and
    batch norm weights of 1 instead of U(0, 1).
    """
    network = CifarResNet(20, num_classes, channels)
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear | nn.BatchNorm2d):
            module.reset_parameters()
    return network
