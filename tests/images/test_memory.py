import os

import pytest

from lottery_pipeline.images import memory
from lottery_pipeline.images.memory import check_memory
from lottery_pipeline.images.request import ImageError


def test_what_fits_passes_and_what_does_not_is_refused(monkeypatch):
    monkeypatch.setattr(memory, "_physical_bytes", lambda: 2**30)
    check_memory(2**30, "x")
    with pytest.raises(ImageError, match=r"x would take 2\.0 GiB of the 1\.0 GiB of memory"):
        check_memory(2**31, "x")


def test_a_system_that_does_not_say_its_memory_gets_a_fixed_limit(monkeypatch):
    monkeypatch.delattr(os, "sysconf")
    assert memory._physical_bytes() == memory.FALLBACK_BYTES
