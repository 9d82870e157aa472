"""Processes that train together, for tests: this one is rank 0, the others follow."""

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from lottery_pipeline.training import parallel
from lottery_pipeline.training.ranks import Ranks

_FOLLOW = (
    "from lottery_pipeline.training import parallel\n"
    "from lottery_pipeline.training.ranks import read_ranks\n"
    "with parallel.joined(read_ranks()):\n"
    "    parallel.follow()\n"
)


def describe(rank: int, world: int, port: int) -> dict[str, str]:
    """What torchrun sets in the environment of a process."""
    numbers = {"RANK": rank, "WORLD_SIZE": world, "LOCAL_RANK": rank, "LOCAL_WORLD_SIZE": world}
    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "GLOO_SOCKET_IFNAME": "lo"}
    return {name: str(value) for name, value in {**numbers, **place}.items()}


def find_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])


@contextmanager
def followed(world: int = 2, *, fails: str | None = None) -> Iterator[list[subprocess.Popen[str]]]:
    """Start the other processes; they end with the context, well or with a pattern as their last words."""
    port = find_port()
    followers = [
        subprocess.Popen(
            [sys.executable, "-c", _FOLLOW],
            env={**os.environ, **describe(rank, world, port)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(1, world)
    ]
    try:
        with patch.dict(os.environ, describe(0, world, port)), parallel.joined(Ranks(0, world, 0, world)):
            yield followers
        for follower in followers:
            well, words = follower.wait(60) == 0, follower.stderr.read()
            assert well == (fails is None), words
            assert re.search(fails or "", words), words
    finally:
        for follower in followers:
            follower.kill()
            follower.wait()
            follower.stderr.close()


@contextmanager
def alone() -> Iterator[None]:
    """Compute something in this process alone, though it has joined others."""
    with patch.object(parallel, "_groups", []):
        yield
