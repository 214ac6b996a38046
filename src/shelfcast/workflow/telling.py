"""What is installed and which models there are."""

import os
import platform
import sys
import tempfile
from dataclasses import asdict
from typing import Any

import shelfcast
from shelfcast.models.registry import (
    missing_package,
    model_names,
    model_traits,
)
from shelfcast.operate.runs import CORE, EXTRAS, installed
from shelfcast.workflow.preparing import DEVICE, WHY_DEVICE


def models() -> list[dict[str, Any]]:
    """Every registered model: what it uses and needs, and whether it can run here."""
    listed = []
    for name, traits in zip(model_names(), model_traits(), strict=True):
        missing = missing_package(name)
        listed.append({**asdict(traits), "name": name, "available": missing is None,
                       "needs": None if missing is None else f"pip install 'shelfcast[{traits.extra or 'all'}]'"})
    return listed


def doctor() -> dict[str, Any]:
    """What is installed, which device and why, where files go."""
    return {
        "shelfcast": shelfcast.__version__, "python": platform.python_version(), "executable": sys.executable,
        "platform": platform.platform(), "cores": os.cpu_count(), "device": DEVICE, "why_device": WHY_DEVICE,
        "core": installed(CORE), "extras": {name: installed(packages) for name, packages in EXTRAS.items()},
        "temporary_files": tempfile.gettempdir(), "results": "only where --out, --run and --report say",
    }
