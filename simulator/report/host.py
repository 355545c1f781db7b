"""What this machine gave to a run: cores, their clock, and what went to others or to the disk."""

import os
from pathlib import Path
from typing import NamedTuple

STAT = Path("/proc/stat")
CPUINFO = Path("/proc/cpuinfo")
CPUFREQ = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq")  # Kilohertz.


class HostTimes(NamedTuple):
    """Clock ticks since the machine started, of all cores together."""

    busy: int
    idle: int
    iowait: int
    steal: int


def host_times() -> HostTimes:
    """The times now. Steal is what the hypervisor gave to other machines."""
    # cpu user nice system idle iowait irq softirq steal guest guest_nice
    ticks = [int(field) for field in STAT.read_text().split("\n", 1)[0].split()[1:9]]
    user, nice, system, idle, iowait, irq, softirq, steal = ticks
    return HostTimes(user + nice + system + irq + softirq, idle, iowait, steal)


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0))


def processor() -> str:
    """The name of the processor as the machine tells it, or of its kind."""
    for line in CPUINFO.read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return os.uname().machine


def megahertz() -> float:
    """The mean clock of the cores now; 0 where the machine does not tell."""
    shown = [
        float(line.partition(":")[2])
        for line in CPUINFO.read_text().splitlines()
        if line.startswith("cpu MHz")
    ]
    if shown:
        return sum(shown) / len(shown)
    return int(CPUFREQ.read_text()) / 1000 if CPUFREQ.exists() else 0.0


def host_given(before: HostTimes, after: HostTimes) -> dict[str, float | int]:
    """Of the time between two looks, in percent of all cores. ``clock_mhz`` is the clock at the
    end, 0 where the machine does not tell."""
    spent = [late - early for early, late in zip(before, after, strict=True)]
    total = max(1, sum(spent))
    shares = dict(zip(HostTimes._fields, (round(100 * x / total, 1) for x in spent), strict=True))
    return {
        "cores": cores(),
        "clock_mhz": round(megahertz()),
        **{f"{name}_percent": share for name, share in shares.items()},
    }
