"""Run folders: everything about one run in one place, whole or not there.

    settings.toml      what was asked, resolved
    manifest.json      versions, seed, data fingerprint, model and why, device and why, time
    forecast.parquet   the forecast at the default levels and any others asked for
    scores.csv         the backtest, a row per model, group and metric
    findings.csv       what the check found          changes.csv    what cleaning changed
    rejected.csv       rows left out, with reason     withdrawn.csv  series not forecast, with reason
    model/             the fitted model               report.html    the page

and of a network that was trained:

    training.html      how the loss went, which places lean on others, settings
    history.csv        loss by step                   place_weights.csv   weight of other places by series
"""

import hashlib
import json
import os
import platform
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

import polars as pl

import shelfcast
from shelfcast.errors import WeightsError, masked

MANIFEST: Final = "manifest.json"
FORECAST: Final = "forecast.parquet"
MODEL: Final = "model"
CLEANED: Final = ("changes.csv", "panel")  # what a folder of cleaned sales holds
CORE: Final = ("numpy", "polars", "scipy", "lightgbm", "tqdm", "jinja2", "onnxruntime", "safetensors")
EXTRAS: Final = {
    "calendar": ("holidays",), "statistical": ("statsforecast",), "excel": ("fastexcel",),
    "database": ("adbc-driver-postgresql", "adbc-driver-sqlite", "pyarrow"), "pandas": ("pandas", "pyarrow"),
    "train": ("torch", "onnx", "onnxscript"), "adapt": ("torch", "onnx", "onnxscript", "peft"),
    "language": ("transformers", "peft", "torch", "onnx", "onnxscript"),
    "space": ("h3",), "sklearn": ("scikit-learn",),
    "track": ("tensorboard", "mlflow-skinny", "wandb"), "cluster": ("ray",),
    "tune": ("optuna", "scikit-learn"),
}


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """Where a result came from.

    Attributes
    ----------
    verb : what was done
    model, why_model : the model that ran and the reason for it
    device, why_device : where it ran and the reason
    seed : of everything random
    fingerprint : hash of the panel
    cutoff, frequency, horizon : the time axis
    seconds : {stage: wall time}
    counts : {what: how many}
    notes : anything that changed only speed, or that a reader should know
    models : of a backtest, what ran in each window: why, on how many series, how long, and what its weights were trained on
    """

    verb: str
    model: str
    why_model: str
    device: str
    why_device: str
    seed: int
    fingerprint: str
    cutoff: str
    frequency: str
    horizon: int
    seconds: Mapping[str, float]
    counts: Mapping[str, int]
    notes: tuple[str, ...] = ()
    models: tuple[Mapping[str, Any], ...] = ()

    def write(self, folder: Path, *, settings: Mapping[str, Any]) -> None:
        """Write `manifest.json` into a folder."""
        content = {
            "shelfcast": shelfcast.__version__, "code": code_hash(), "made": datetime.now(UTC).isoformat(timespec="seconds"),
            "command": [masked(a) for a in sys.argv],
            "python": platform.python_version(), "platform": platform.platform(), "cores": os.cpu_count(),
            "packages": installed(CORE), **vars(self), "settings": dict(settings),
        }
        text = json.dumps(content, indent=2, ensure_ascii=False, default=str)
        # names that are no Unicode are written as JSON writes half of a pair: \udce9
        (folder / MANIFEST).write_text(text + "\n", encoding="utf-8", errors="backslashreplace")


@cache
def code_hash() -> str:
    """A short hash of the package's own sources: two versions in the making that carry the same number are told apart by it.

    Names and texts of all `.py` files count, in order of their names; nothing else does.
    """
    home = Path(shelfcast.__file__).parent
    found = hashlib.sha256()
    for path in sorted(home.rglob("*.py")):
        found.update(f"{path.relative_to(home).as_posix()}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return found.hexdigest()[:12]


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a run folder."""
    try:
        return dict(json.loads((folder / MANIFEST).read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise WeightsError(f"{str(folder)!r} is not a run folder: its {MANIFEST} is absent or damaged.") from error


def write_tables(folder: Path, tables: Mapping[str, pl.DataFrame]) -> None:
    """Write each table as `name.csv`; cells that a spreadsheet would run as formulas are made harmless."""
    for name, table in tables.items():
        harmless_csv(table).write_csv(folder / f"{name}.csv")


def harmless_csv(table: pl.DataFrame) -> pl.DataFrame:
    """Texts that begin with = + - @ or a control character get a leading apostrophe, for people open CSV in spreadsheets."""
    texts = [c for c, t in table.schema.items() if t == pl.String]
    return table.with_columns(pl.when(pl.col(c).str.contains(r"^[=+\-@\t\r]")).then("'" + pl.col(c)).otherwise(pl.col(c)).alias(c)
                              for c in texts)


def installed(packages: tuple[str, ...]) -> dict[str, str | None]:
    """{package: version, or None where it is not installed}."""
    found: dict[str, str | None] = {}
    for name in packages:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found
