"""The forecast cache, the only cache of the package: what was forecast once from the same content is read instead of made again.

    FOLDER/shelfcast-cache.json         says that the folder is ours, and may be cleared
    FOLDER/3f/3f9a.../entry.json        what was asked, and the hash of the table
                     /forecast.parquet  the answer

An entry is found by content, never by name or date: the fingerprint of the panel, what the model would save of itself (settings,
statistics, weights), horizon, levels, the package's own code, and the packages that compute. Nothing has to be declared stale:
what changed has another key, and what nobody asks for any more is evicted, the longest unasked first, once the folder is full.

Several processes may share a folder: entries appear whole or not at all, and one that is removed while it is read is a miss.
"""

import hashlib
import json
import logging
import os
import re
import shutil
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, is_dataclass, replace
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl

from shelfcast.errors import SettingsError, ShelfcastError, shorten
from shelfcast.files import check_folder, is_alive, scratch_folder, whole_file, whole_folder
from shelfcast.forecast import Forecast, check_horizon, check_levels
from shelfcast.models.base import Forecaster
from shelfcast.operate.runs import CORE, FORECAST, code_hash, installed
from shelfcast.panel import SalesPanel
from shelfcast.periods import Frequency

MOST_BYTES: Final = 2 * 10**9
"""Of a cache folder, unless said otherwise: about 180 forecasts of 4,096 series, 28 periods and 13 levels, 10.9 MB each."""
MARK: Final = "shelfcast-cache.json"
ENTRY: Final = "entry.json"
_FORMAT: Final = 1
_DIGITS: Final = 40  # of an entry's name: 160 bits, which no two contents share
_LEFT: Final = re.compile(r"\.[0-9a-f]+\.(\d+)(\.old)?\.partial")  # as `files.whole_folder` and `_remove` name what is half done

_log = logging.getLogger(__name__)
_writing = threading.Lock()  # a half-written entry is named by its process alone


@dataclass(frozen=True, kw_only=True)
class ForecastKey:
    """All that a forecast depends on.

    Attributes
    ----------
    panel : fingerprint of the whole panel, known covariates of the future included
    series : first of its series that are forecast, and the one after the last
    model, settings : name and settings of the model
    learned : hash of everything that the model writes when it is saved, weights included
    horizon : periods
    levels : probabilities
    code : hash of the package's sources and of the versions of the packages that compute
    """

    panel: str
    series: tuple[int, int]
    model: str
    settings: str
    learned: str
    horizon: int
    levels: tuple[float, ...]
    code: str

    @property
    def name(self) -> str:
        """What an entry of this key is called."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:_DIGITS]

    def of(self, first: int, last: int) -> "ForecastKey":
        """The same for the series from `first` up to, not including, `last`."""
        return replace(self, series=(first, last))


def forecast_key(model: Forecaster, panel: SalesPanel, *, horizon: int, levels: tuple[float, ...]) -> ForecastKey:
    """The key of a fitted model's forecast of a whole panel.

    Costs a pass over the panel and a save of the model into the temporary folder.
    """
    settings = getattr(model, "settings", None)
    told = asdict(settings) if is_dataclass(settings) and not isinstance(settings, type) else {}
    return ForecastKey(panel=panel.fingerprint(), series=(0, len(panel)), model=model.traits.name,
                       settings=json.dumps(told, sort_keys=True, default=str), learned=_learned(model),
                       horizon=check_horizon(horizon), levels=check_levels(levels), code=_code())


class ForecastCache:
    """A folder of forecasts by key, bounded in size.

    Parameters
    ----------
    folder : made if it is not there; its own folder must be. One that holds other things is refused
    most_bytes : of all entries together; for a moment one entry more, or one for each process that writes

    Attributes
    ----------
    hits, misses : how often an entry was there, and how often not
    dropped : damaged entries, which count as misses
    unkept : forecasts that could not be written, or were larger than the whole cache
    """

    def __init__(self, folder: Path | str, *, most_bytes: int = MOST_BYTES) -> None:
        if most_bytes < 1:
            raise SettingsError(f"A cache of {most_bytes:,} bytes holds nothing; give it at least 1, or leave it out.")
        self.folder, self.most_bytes = Path(folder), most_bytes
        check_folder(self.folder, marks=[MARK])
        self.folder.mkdir(exist_ok=True)
        if not (self.folder / MARK).exists():
            with whole_file(self.folder / MARK) as out:
                out.write_text(json.dumps({"format": _FORMAT, "holds": "forecasts by content; may be removed at any time"}) + "\n",
                               encoding="utf-8")
        self.hits = self.misses = self.dropped = self.unkept = 0

    def get(self, key: ForecastKey) -> Forecast | None:
        """The forecast of a key, or None; a damaged entry is dropped."""
        path = self._path(key)
        try:
            forecast = _read(path, key)
            with suppress(OSError):  # evicted meanwhile, or a folder that this user may only read
                os.utime(path)  # asked for just now
        except FileNotFoundError:  # never written, or evicted by another process since
            forecast = None
        except _DamagedError as damage:
            _log.warning("An entry of the forecast cache %s was damaged (%s) and is dropped.", self.folder, damage)
            self.dropped += 1
            _remove(path)
            forecast = None
        if forecast is None:
            self.misses += 1
        else:
            self.hits += 1
        return forecast

    def put(self, key: ForecastKey, forecast: Forecast) -> None:
        """Keep a forecast, and evict what was not asked for the longest while the cache is too large.

        A cache must not cost a forecast: what cannot be written is not kept, and that is logged and counted.
        """
        path = self._path(key)
        try:
            path.parent.mkdir(exist_ok=True)
            with _writing, whole_folder(path) as out:
                _write(out, key, forecast)
                if _bytes(out) > self.most_bytes:
                    raise SettingsError(f"the forecast is larger than the {self.most_bytes:,} bytes that it may hold")
            self._evict()
        except (OSError, SettingsError, pl.exceptions.PolarsError) as error:
            if (path / ENTRY).exists():  # another process has just written the same
                return
            _log.warning("A forecast was not kept in the cache %s: %s", self.folder, error)
            self.unkept += 1

    def size(self) -> int:
        """Bytes of all entries."""
        return sum(size for _, size, _ in self._entries())

    def _path(self, key: ForecastKey) -> Path:
        return self.folder / key.name[:2] / key.name

    def _entries(self) -> list[tuple[float, int, Path]]:
        """(when it was last asked for, bytes, folder) of each entry."""
        found = []
        for path in self.folder.glob("??/*"):
            left = _LEFT.fullmatch(path.name)
            try:
                if left is None and path.is_dir():
                    found.append((path.stat().st_mtime, _bytes(path), path))
                elif left is not None and not is_alive(int(left[1])):
                    shutil.rmtree(path, ignore_errors=True)
            except FileNotFoundError:  # another process removes entries, too
                continue
        return found

    def _evict(self) -> None:
        entries = sorted(self._entries(), key=lambda e: e[:2])
        total = sum(size for _, size, _ in entries)
        for _, size, path in entries:
            if total <= self.most_bytes:
                return
            _remove(path)
            total -= size


def cached_forecast(cache: ForecastCache | None, key: ForecastKey | None, make: Callable[[], Forecast]) -> Forecast:
    """The forecast of a key, read where it was made before, else made and kept; made where there is no cache."""
    if cache is None or key is None:
        return make()
    found = cache.get(key)
    if found is None:
        found = make()
        cache.put(key, found)
    return found


class _DamagedError(Exception):
    """An entry is there, and is not what was written."""


def _write(folder: Path, key: ForecastKey, forecast: Forecast) -> None:
    forecast.save(folder / FORECAST)
    about = {"format": _FORMAT, "key": asdict(key), "frequency": str(forecast.frequency), "cutoff": forecast.cutoff,
             "types": [str(forecast.quantiles.dtype), str(forecast.mean.dtype)],
             "hash": hashlib.sha256((folder / FORECAST).read_bytes()).hexdigest()}
    (folder / ENTRY).write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")


def _read(folder: Path, key: ForecastKey) -> Forecast:
    """The forecast of an entry.

    Raises
    ------
    FileNotFoundError
        If there is no entry, or it goes while it is read.
    _DamagedError
        If it is not what was written, or not the answer to this key.
    """
    try:
        text, table = (folder / ENTRY).read_text(encoding="utf-8"), (folder / FORECAST).read_bytes()
    except FileNotFoundError as error:
        if folder.is_dir() and any(folder.iterdir()):  # half of it is gone; a whole one goes in one step
            raise _DamagedError(f"{shorten(Path(error.filename).name)} is absent") from error
        raise
    except (OSError, UnicodeDecodeError) as error:
        raise _DamagedError(shorten(error)) from error
    try:
        about = json.loads(text)
        if about["key"] != json.loads(json.dumps(asdict(key))):
            raise _DamagedError("it answers another question")
        if hashlib.sha256(table).hexdigest() != about["hash"]:
            raise _DamagedError("its table differs from what was written")
        read = Forecast.from_frame(pl.read_parquet(BytesIO(table)), freq=Frequency.parse(about["frequency"]))
        if (read.cutoff, read.horizon, len(read)) != (about["cutoff"], key.horizon, key.series[1] - key.series[0]):
            raise _DamagedError("it holds other series or periods")
        quantiles, mean = (a.astype(np.dtype(t)) for a, t in zip((read.quantiles, read.mean), about["types"], strict=True))
        return replace(read, levels=key.levels, quantiles=quantiles, mean=mean)
    except (ValueError, KeyError, TypeError, ShelfcastError, pl.exceptions.PolarsError) as error:
        raise _DamagedError(shorten(error)) from error


def _remove(folder: Path) -> None:
    """Remove an entry in one step, so that nobody reads half of one."""
    aside = folder.with_name(f".{folder.name}.{os.getpid()}.old.partial")
    try:
        with _writing:
            shutil.rmtree(aside, ignore_errors=True)
            os.rename(folder, aside)
    except OSError:  # another process was quicker, or this user may not: then its next writer replaces it
        return
    shutil.rmtree(aside, ignore_errors=True)


def _bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.iterdir())


def _learned(model: Forecaster) -> str:
    """Hash of the names and contents of all files that a model writes when it is saved."""
    digest = hashlib.sha256()
    with scratch_folder() as place:
        model.save(Path(place))
        for path in sorted(p for p in Path(place).rglob("*") if p.is_file()):
            digest.update(f"{path.relative_to(place).as_posix()}\0".encode())
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


@cache
def _code() -> str:
    """Hash of our sources and of the versions of what computes, for another version may round otherwise."""
    versions: dict[str, Any] = installed((*CORE, "torch"))
    return hashlib.sha256(json.dumps([code_hash(), versions], sort_keys=True).encode()).hexdigest()[:16]
