"""A description of the machine that figures were measured on."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

from talkcli import __version__, runtime

_LIBRARIES = ("numba", "torch", "numpy", "gsplat")


def describe_machine() -> dict[str, Any]:
    """Processor, instructions, GPU, threads, load and versions as plain values; None if missing."""
    from talkcli.bench.isa import compiled_for
    from talkcli.runtime import thread_count

    return {
        "cpu": cpu_model(),
        "isa": compiled_for(),
        "gpu": gpu_model(),
        "cores": runtime.available_cpus(),
        "threads": thread_count(),
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "system": platform.platform(terse=True),
        "versions": {
            "talkcli": __version__,
            "python": platform.python_version(),
            **{name: _version(name) for name in _LIBRARIES},
        },
    }


def cpu_model() -> str:
    """The processor's name, as far as the system tells."""
    linux = Path("/proc/cpuinfo")
    for line in linux.read_text(encoding="utf-8").splitlines() if linux.is_file() else ():
        name, _, value = line.partition(":")
        if name.strip() == "model name" and value.strip():
            return value.strip()
    if sys.platform == "darwin":
        answer = subprocess.run(
            ["sysctl", "-n", "machdep.cpu.brand_string"],
            capture_output=True,
            text=True,
            check=False,
        )
        if answer.stdout.strip():
            return answer.stdout.strip()
    return platform.processor() or platform.machine()


def gpu_model() -> str | None:
    """Name and memory of the CUDA device that torch would use, or None."""
    import torch

    if not torch.cuda.is_available():
        return None
    memory = torch.cuda.get_device_properties(0).total_memory
    return f"{torch.cuda.get_device_name(0)}, {memory / 1e9:.0f} GB"


def _version(library: str) -> str | None:
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return None


def peak_memory_mb() -> float:
    """Largest resident size of this process so far in MB."""
    linux = Path("/proc/self/status")
    for line in linux.read_text(encoding="utf-8").splitlines() if linux.is_file() else ():
        # What getrusage tells there includes the parent at the time it started this process.
        if line.startswith("VmHWM:"):
            return round(int(line.split()[1]) * 1024 / 1e6, 1)
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Linux counts in KB, macOS in bytes.
    return round(peak / (1e6 if sys.platform == "darwin" else 1e3), 1)
