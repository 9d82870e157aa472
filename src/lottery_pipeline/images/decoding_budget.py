"""The memory that decoding may take, shared by all threads."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition

from lottery_pipeline.images.memory import free_bytes

MOST_BYTES = 2 * 2**30  # the largest image that is allowed takes 1.2 GiB
LEAST_BYTES = 64 * 2**20  # so that ordinary images are decoded even where nearly no memory is free


class DecodingBudget:
    """Lets threads decode as long as their images fit in it together; others wait.

    Attributes:
        size: bytes; no image may take more.
    """

    def __init__(self, size: int | None = None, *, reserved: int = 0) -> None:
        """Make a budget.

        Args:
            size: bytes; by default half of the memory that is free, from 64 MiB to 2 GiB.
            reserved: bytes that something else will take soon.
        """
        if size is None:
            size = max(LEAST_BYTES, min(MOST_BYTES, (free_bytes() - reserved) // 2))
        self.size = self._left = size
        self._changed = Condition()

    @contextmanager
    def hold(self, size: int) -> Iterator[None]:
        """Wait until ``size`` bytes are left, at most those of the budget, and keep them during the block."""
        with self._changed:
            self._changed.wait_for(lambda: self._left >= size)
            self._left -= size
        try:
            yield
        finally:
            with self._changed:
                self._left += size
                self._changed.notify_all()
