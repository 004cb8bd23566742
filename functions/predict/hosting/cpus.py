"""How many CPUs this process has: a container's share of a machine, which Python's own count does not see."""

import math
import os
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
"""Where a container finds its own limits."""


def usable_cpus(cgroups: Path = CGROUPS) -> int:
    """Return how many CPUs may be used at once: those the process may run on, or fewer where a limit is set."""
    cpus = len(os.sched_getaffinity(0))
    for limit, period in (_quota(cgroups), _first_quota(cgroups)):
        # No limit is "max" in the second version, and -1 in the first.
        if limit.isdecimal() and period.isdecimal():
            return max(1, min(cpus, math.ceil(int(limit) / int(period))))
    return cpus


def _quota(cgroups: Path) -> tuple[str, str]:
    """The limit as the second version of cgroups has it: so many microseconds of CPU in so many microseconds."""
    limit, _, period = _read(cgroups / "cpu.max").partition(" ")
    return limit, period


def _first_quota(cgroups: Path) -> tuple[str, str]:
    return _read(cgroups / "cpu" / "cpu.cfs_quota_us"), _read(cgroups / "cpu" / "cpu.cfs_period_us")


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
