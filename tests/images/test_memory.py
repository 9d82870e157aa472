import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from lottery_pipeline.images import memory
from lottery_pipeline.images.memory import check_memory, count_per_chunk, free_bytes
from lottery_pipeline.images.request import ImageError

UNLIMITED = 9223372036854771712


def make_root(root: Path, files: dict[str, object]) -> Path:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(str(content))
    return root


SYSTEM = {"proc/meminfo": "MemTotal: 9000 kB\nMemFree: 100 kB\nMemAvailable:    4000 kB\n"}


def test_what_fits_passes_and_what_does_not_is_refused(monkeypatch):
    monkeypatch.setattr(memory, "free_bytes", lambda: 2**30)
    check_memory(2**30, "x")
    with pytest.raises(ImageError, match=r"x would take 2\.0 GiB, but 1\.0 GiB of memory are free: set data"):
        check_memory(2**31, "x")


def test_the_system_says_what_is_available(tmp_path):
    assert free_bytes(make_root(tmp_path, SYSTEM)) == 4000 * 1024


@pytest.mark.parametrize(
    ("groups", "free"),
    [
        # Version 2: the limit may be that of a group further up; pages that can be dropped are free.
        (
            {
                "job/step/memory.max": "max",
                "job/step/memory.current": 10,
                "memory.max": 900,
                "memory.current": 500,
            },
            400,
        ),
        ({"job/step/memory.max": 900, "job/step/memory.current": 500}, 400),
        (
            {
                "job/step/memory.max": 900,
                "job/step/memory.current": 500,
                "job/step/memory.stat": "anon 200\ninactive_file 300\n",
            },
            700,
        ),
        ({"job/step/memory.max": 900, "job/step/memory.current": 950}, 0),
        ({"job/step/memory.max": "max", "job/step/memory.current": 10}, 4000 * 1024),
    ],
)
def test_a_control_group_says_what_it_leaves(tmp_path, groups, free):
    files = SYSTEM | {"proc/self/cgroup": "0::/job/step\n"}
    files |= {f"sys/fs/cgroup/{name}": content for name, content in groups.items()}
    assert free_bytes(make_root(tmp_path, files)) == free


@pytest.mark.parametrize("place", ["job/", ""])  # in a container the group may be mounted at the top
def test_a_control_group_of_version_1_says_what_it_leaves(tmp_path, place):
    files = SYSTEM | {
        "proc/self/cgroup": "5:cpu:/job\n4:memory:/job\n0::/\n",
        f"sys/fs/cgroup/memory/{place}memory.limit_in_bytes": 900,
        f"sys/fs/cgroup/memory/{place}memory.usage_in_bytes": 600,
        f"sys/fs/cgroup/memory/{place}memory.stat": "inactive_file 5\ntotal_inactive_file 100\n",
    }
    assert free_bytes(make_root(tmp_path, files)) == 400
    (tmp_path / f"sys/fs/cgroup/memory/{place}memory.limit_in_bytes").write_text(str(UNLIMITED))
    assert free_bytes(tmp_path) == 4000 * 1024


def test_a_limit_of_the_process_counts():
    code = "from lottery_pipeline.images.memory import free_bytes; print(free_bytes())"
    limit = 2**31
    run = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        check=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
    )
    assert 0 < int(run.stdout) < limit


def test_a_system_that_does_not_say_its_memory_gets_a_fixed_limit(tmp_path, monkeypatch):
    assert free_bytes(tmp_path) == os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    monkeypatch.delattr(os, "sysconf")
    assert free_bytes(tmp_path) == memory.FALLBACK_BYTES


def test_large_images_are_computed_with_a_few_at_a_time():
    assert count_per_chunk(3 * 32 * 32) == 1024
    assert count_per_chunk(3 * 2048 * 2048) == 1
    assert count_per_chunk(3 * 224 * 224) == 111
    assert count_per_chunk(10**9) == 1
