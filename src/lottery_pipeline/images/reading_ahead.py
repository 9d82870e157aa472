"""Reading ahead: what is asked for next is read by a thread while the last is in use."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def read_ahead(read: Callable[[Item], Result], items: Iterable[Item], *, count: int = 2) -> Iterator[Result]:
    """Yield ``read(item)`` for every item, in their order.

    Args:
        read: runs in one thread, item after item.
        items: what to read.
        count: how many results wait at most; so many are held beside the one in use.

    Raises:
        Exception: what ``read`` raises, when its turn comes.
    """
    pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="read ahead")
    waiting: deque[Future[Result]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(read, item))
            if len(waiting) > count:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
