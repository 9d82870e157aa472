"""Naive twin of count_macs: closed forms from the architecture alone."""


def cifar_resnet_macs(depth, *, side=32, channels=3, classes=10):
    """Stem, blocks, 1x1 shortcuts and the last linear layer of a CIFAR ResNet."""
    blocks = (depth - 2) // 6
    total = side**2 * 16 * channels * 9
    channels_in = 16
    for stage, width in enumerate((16, 32, 64)):
        pixels = (side >> stage) ** 2
        for block in range(blocks):
            total += pixels * width * channels_in * 9 + pixels * width * width * 9
            if block == 0 and stage > 0:
                total += pixels * width * channels_in
            channels_in = width
    return total + 64 * classes


def cifar_vgg_macs(convolutions, *, side=32, channels=3, classes=10):
    """Five stages of 3x3 convolutions, the side halved between them."""
    total = 0
    for stage, (width, count) in enumerate(zip((64, 128, 256, 512, 512), convolutions, strict=True)):
        for _ in range(count):
            total += (side >> stage) ** 2 * width * channels * 9
            channels = width
    return total + 512 * classes
