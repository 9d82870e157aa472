"""Naive twin of compaction: one walk forwards for what is silent, one backwards for what is unread."""

from collections.abc import Sequence

from torch import Tensor


def find_dead_naive(
    masks: Sequence[Tensor], constants: Sequence[Sequence[float]], *, inputs: int
) -> list[set[int]]:
    """Return the dead channels between the layers of a chain, weight by weight.

    Args:
        masks: bool [out, in, ...] of every layer of the chain, the last one's outputs being read by somebody.
        constants: what an empty filter emits, for all layers but the last.
        inputs: channels of the images, all alive.
    """
    silent: list[set[int]] = [set()]
    before = inputs
    for mask, emitted in zip(masks, constants, strict=False):
        columns = mask.shape[1] // before
        silent.append(
            {
                channel
                for channel in range(len(mask))
                if emitted[channel] <= 0
                and not any(
                    bool(mask[channel, column].any())
                    for column in range(mask.shape[1])
                    if column // columns not in silent[-1]
                )
            }
        )
        before = len(mask)
    dead = []
    unread: set[int] = set()
    for place in range(len(masks) - 1, 0, -1):
        mask, channels = masks[place], len(masks[place - 1])
        columns = mask.shape[1] // channels
        unread = {
            channel
            for channel in range(channels)
            if not any(
                bool(mask[row, channel * columns : (channel + 1) * columns].any())
                for row in range(len(mask))
                if row not in unread
            )
        }
        dead.append(silent[place] | unread)
    return dead[::-1]
