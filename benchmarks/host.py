"""What has to be known about a machine before its figures mean anything."""

import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import threadpoolctl
import torch


def describe_host() -> dict[str, Any]:
    """Processor, versions, threads, and the BLAS libraries with the kernels they chose."""
    pools = threadpoolctl.threadpool_info()
    return {
        "processor": processor(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "load_average": [round(value, 2) for value in os.getloadavg()],
        "python": platform.python_version(),
        "numpy": np.__version__,
        "numba": version("numba"),
        "onnxruntime": version("onnxruntime"),
        "torch": torch.__version__,
        "torch_threads": torch.get_num_threads(),
        "openblas_coretype": os.environ.get("OPENBLAS_CORETYPE") or None,
        "thread_pools": [
            {
                "library": pool["internal_api"],
                "version": pool["version"],
                "architecture": pool.get("architecture"),
                "threads": pool["num_threads"],
            }
            for pool in pools
        ],
    }


def processor() -> str:
    """The processor's name as the system gives it."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def require_one_thread() -> None:
    """Refuse to measure with more than one thread anywhere.

    Raises:
        SystemExit: A library would use more; the message says how to start instead.
    """
    torch.set_num_threads(1)
    many = [pool for pool in threadpoolctl.threadpool_info() if pool["num_threads"] != 1]
    if many:
        names = ", ".join(f"{pool['internal_api']} ({pool['num_threads']})" for pool in many)
        raise SystemExit(
            f"These libraries use more than one thread: {names}. With several threads a busy "
            "machine decides the result. Start with `make bench`, which sets one thread."
        )
