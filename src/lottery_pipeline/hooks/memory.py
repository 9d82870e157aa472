"""Memory of a run: what a node has freed is the system's again before the next node begins."""

import ctypes
import platform
from functools import cache

from kedro.framework.hooks import hook_impl


class MemoryHooks:
    """Gives back the memory that trainings keep from step to step (``training/device.py``)."""

    @hook_impl
    def before_node_run(self) -> None:
        """Give back what is free."""
        return_freed_memory()

    @hook_impl
    def after_pipeline_run(self) -> None:
        """Give back what is free; a notebook lives on."""
        return_freed_memory()


def return_freed_memory() -> bool:
    """Give free memory of the C library back to the system; return whether it can, as glibc alone does."""
    library = _find_glibc()
    if library is None:
        return False
    library.malloc_trim(0)
    return True


@cache
def _find_glibc() -> ctypes.CDLL | None:
    return ctypes.CDLL(None) if platform.libc_ver()[0] == "glibc" else None
