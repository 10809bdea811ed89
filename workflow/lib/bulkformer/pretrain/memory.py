"""Keeps freed memory in the process, where the next step of training finds it again.

glibc hands every large block back to the system when it is freed. A training step allocates the
same gigabytes each time, so that a tenth to a quarter of its time on a CPU is spent on pages that
the system must clear anew.
"""

from __future__ import annotations

import ctypes
import platform

# Numbers of glibc's malloc.h; the values are bytes.
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
LARGEST = 2**31 - 1  # mallopt takes an int


def keep_freed_memory() -> bool:
    """Tell glibc's allocator to keep freed memory; return whether there was one to tell.

    Call it before large tensors are made. Other systems are left as they are.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    # mallopt returns 1 on success. glibc caps the first threshold silently at its own maximum
    # (32 MiB), so blocks above it would still be mapped: the number of mappings is set to 0 too.
    return all(
        mallopt(option, value) == 1
        for option, value in ((M_TRIM_THRESHOLD, LARGEST), (M_MMAP_MAX, 0))
    )
