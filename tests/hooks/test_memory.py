"""Memory that a node has freed goes back to the system before the next node."""

import ctypes
import platform
import subprocess
import sys

import pytest

from lottery_pipeline.hooks.memory import _find_glibc, return_freed_memory

# Blocks of 1 MB under one that stays, as after a training; prints MB in use before and after.
PROGRAM = """
import ctypes
from pathlib import Path
from lottery_pipeline.hooks.memory import return_freed_memory
def used():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 // 2**20
library = ctypes.CDLL(None)
library.malloc.restype, library.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
library.mallopt(-3, 2**30), library.mallopt(-1, 2**30)  # as keep_freed_memory
blocks = [library.malloc(2**20) for _ in range(200)]
for block in blocks:
    ctypes.memset(block, 1, 2**20)
top = library.malloc(2**20)
for block in blocks:
    library.free(block)
before = used()
return_freed_memory()
print(before - used())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc keeps what is freed")
def test_freed_memory_goes_back() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert int(done.stdout) > 150


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    monkeypatch.setattr(ctypes, "CDLL", None)
    _find_glibc.cache_clear()
    assert return_freed_memory() is False
    _find_glibc.cache_clear()
