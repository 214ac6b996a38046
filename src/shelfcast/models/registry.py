"""Models by name: what there is, what each needs, and how one is made, saved and loaded.

Nothing is imported before it is asked for. Each model's file is light to import (its extra is imported by the functions that
use it), so that its traits can be shown where its extra is absent.
"""

import hashlib
import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from importlib import import_module
from importlib.util import find_spec
from math import isfinite
from pathlib import Path
from types import MappingProxyType, NoneType, UnionType
from typing import Any, Final, Literal, Union, get_args, get_origin, get_type_hints

import polars as pl

from shelfcast import __version__
from shelfcast.errors import DataError, MissingExtraError, SettingsError, UnknownNameError, WeightsError, shorten
from shelfcast.files import whole_folder
from shelfcast.models.base import Forecaster, Traits
from shelfcast.names import LATITUDE, LONGITUDE
from shelfcast.panel import SalesPanel

_FORMAT: Final = 1
_LABEL: Final = "model.json"
LEARNED: Final = "learned"  # the model's own files, within the folder
_PLACES: Final = "places.parquet"


@dataclass(frozen=True)
class Entry:
    """Where a model lives.

    Attributes
    ----------
    module, model, settings : the module and the names of its model class and settings class
    fixed : settings that the name stands for
    extra, package : the extra it needs and the import that the extra brings, or None
    also : further imports without which it cannot be fitted
    runs_on : what a fitted one needs to forecast, where that is another package than to fit it
    """

    module: str
    model: str
    settings: str
    fixed: Mapping[str, object] = field(default_factory=dict)
    extra: str | None = None
    package: str | None = None
    also: tuple[str, ...] = ()
    runs_on: str | None = None


def _statistical(**fixed: object) -> Entry:
    return Entry("shelfcast.models.statistical", "Statistical", "StatisticalSettings", fixed, "statistical", "statsforecast")


_MODELS: Final[Mapping[str, Entry]] = MappingProxyType({
    "naive": Entry("shelfcast.models.naive", "SeasonalNaive", "NaiveSettings"),
    "profile": Entry("shelfcast.models.profile", "Profile", "ProfileSettings"),
    "boosted": Entry("shelfcast.models.boosted", "Boosted", "BoostedSettings", package="lightgbm"),
    "spacetime": Entry("shelfcast.models.spacetime", "SpaceTime", "SpaceTimeSettings", extra="train", package="torch",
                       also=("onnx", "onnxscript"), runs_on="onnxruntime"),
    "language": Entry("shelfcast.models.language", "Language", "LanguageSettings", extra="language", package="transformers",
                      also=("torch", "onnx", "onnxscript"), runs_on="onnxruntime"),
    "pretrained": Entry("shelfcast.models.pretrained", "Pretrained", "PretrainedSettings", package="onnxruntime"),
    "chronos": Entry("shelfcast.models.chronos", "Chronos", "ChronosSettings", extra="chronos", package="chronos", also=("torch",)),
    "statistical": _statistical(),
    "ets": _statistical(method="auto_ets"),
    "theta": _statistical(method="theta"),
    "croston": _statistical(method="croston"),
    "tsb": _statistical(method="tsb"),
    "adida": _statistical(method="adida"),
})


def model_names() -> list[str]:
    """The registered names, in the order in which they are shown."""
    return list(_MODELS)


def make_model(name: str, settings: Mapping[str, object] | None = None) -> Forecaster:
    """A new model that has learned nothing yet.

    Parameters
    ----------
    name : a registered name, such as `naive` or `boosted`
    settings : {setting: value}; what is not named keeps its default

    Raises
    ------
    UnknownNameError
        If there is no such model, or it has no such setting.
    SettingsError
        If a setting's value is wrong.
    MissingExtraError
        If the model needs a package that is not installed.

    Examples
    --------
    >>> make_model("naive", {"season": 1}).traits.name
    'naive'
    """
    entry = _entry(name)
    missing = missing_package(name)
    if missing is not None:
        raise MissingExtraError(f"The model {name!r}", entry.extra or "all", missing)
    kind, settings_kind = _classes(entry)
    wanted = dict(settings or {})
    known = [f.name for f in fields(settings_kind)]
    for key in wanted:
        if key not in known:
            raise UnknownNameError(f"setting of the model {name}", key, known)
    for key, hint in get_type_hints(settings_kind).items():
        if key in wanted and not _fits(wanted[key], hint):
            raise SettingsError(f"The setting {key!r} of the model {name!r} is {shorten(repr(wanted[key]))}; it must be "
                                f"{_words(hint)}.")
    for key, value in entry.fixed.items():
        if wanted.get(key, value) != value:
            raise SettingsError(f"The model {name!r} stands for {key}={value!r}; to have {key}={shorten(repr(wanted[key]))} "
                                f"ask for another model.")
    try:
        made = settings_kind(**{**entry.fixed, **wanted})
    except TypeError as error:
        raise SettingsError(f"The settings of the model {name!r} are wrong: {shorten(error, 200)}.") from error
    return kind(made)


_WORDS: Final = {int: "a whole number", float: "a number", str: "a text", bool: "true or false", NoneType: "null (not set)"}


def _fits(value: object, hint: Any) -> bool:
    """Whether a value is of a setting's type; types that are not listed here are left to the settings' own checks."""
    if get_origin(hint) in (Union, UnionType):
        return any(_fits(value, one) for one in get_args(hint))
    if get_origin(hint) is Literal:
        return isinstance(value, tuple({type(one) for one in get_args(hint)}))
    if hint in (int, float) and isinstance(value, bool):
        return False
    if hint is float:
        return isinstance(value, int | float) and isfinite(value)
    return isinstance(value, hint) if hint in _WORDS else True


def _words(hint: Any) -> str:
    """A type in words."""
    if get_origin(hint) in (Union, UnionType):
        return " or ".join(_words(one) for one in get_args(hint))
    if get_origin(hint) is Literal:
        return "one of " + ", ".join(map(str, get_args(hint)))
    return _WORDS.get(hint, str(hint))


def setting_names(name: str) -> list[str]:
    """The settings that a model has."""
    return [f.name for f in fields(_classes(_entry(name))[1])]


def missing_package(name: str) -> str | None:
    """The package that a model needs to be fitted and that is not installed, or None when nothing is missing."""
    entry = _entry(name)
    return next((p for p in (entry.package, *entry.also) if p is not None and find_spec(p) is None), None)


def model_traits() -> list[Traits]:
    """What each registered model is and needs; whether it can run says `missing_package`."""
    return [_classes(entry)[0](_classes(entry)[1](**entry.fixed)).traits for entry in _MODELS.values()]


def save_model(model: Forecaster, folder: Path | str, *, panel: SalesPanel | None = None, also: Collection[str] = ()) -> None:
    """Write a fitted model as a folder, whole or not at all: `model.json`, and the model's own files beneath.

    No file runs code when it is loaded; each file's hash is in `model.json`.

    Parameters
    ----------
    panel : what it learned from; its frequency and covariates are noted, so that loading for other sales can be refused, and a
        table of places that the model uses is kept beside it
    also : names that are saved the same way and stand for no single model
    """
    settings = getattr(model, "settings", None)
    if model.traits.name not in also:
        _entry(model.traits.name)
    with whole_folder(folder) as out:
        inside = out / LEARNED
        inside.mkdir()
        model.save(inside)
        files = {path.relative_to(inside).as_posix(): _hash(path) for path in sorted(inside.rglob("*")) if path.is_file()}
        label: dict[str, Any] = {"format": _FORMAT, "shelfcast": __version__, "name": model.traits.name, "files": files,
                                 "settings": asdict(settings) if is_dataclass(settings) and not isinstance(settings, type) else {}}
        if panel is not None:
            label["learned_from"] = _learned_from(panel)
            if panel.places is not None and (model.traits.uses_static or (model.traits.uses_places and _has_coordinates(panel))):
                panel.places.write_parquet(out / _PLACES)
                label["places"] = _hash(out / _PLACES)
        (out / _LABEL).write_text(json.dumps(label, indent=2, default=str) + "\n", encoding="utf-8")


def load_model(folder: Path | str, *, panel: SalesPanel | None = None,
               also: Mapping[str, Callable[[Path], Forecaster]] = MappingProxyType({})) -> Forecaster:
    """Read a folder that `save_model` wrote.

    Parameters
    ----------
    panel : what it is to forecast; when given, it must have the frequency and the covariates that the model learned with
    also : {name that stands for no single model: what reads its folder}

    Raises
    ------
    WeightsError
        If it is no saved model, was written by another format, or a file is absent or differs from what was written.
    MissingExtraError
        If the model needs a package that is not installed.
    """
    folder = Path(folder)
    label = read_label(folder, also=also)
    inside = folder / LEARNED
    for name, written in label["files"].items():
        path = inside / name
        if not path.is_file():
            raise WeightsError(f"The saved model {str(folder)!r} lacks its file {name!r}; save it again.")
        if _hash(path) != written:
            raise WeightsError(f"The file {name!r} of the saved model {str(folder)!r} is not what was written: it is damaged or "
                               f"was changed. Save the model again.")
    if label["name"] in also:
        model = also[label["name"]](inside)
    else:
        entry = _entry(label["name"])
        missing = entry.runs_on or entry.package
        if missing is not None and find_spec(missing) is None:
            raise MissingExtraError(f"The saved model {str(folder)!r}", entry.extra or "all", missing)
        model = _classes(entry)[0].load(inside)
    if panel is not None and "learned_from" in label:
        _refuse_other_sales(model.traits, label["learned_from"], panel, str(folder))
    return model


def _learned_from(panel: SalesPanel) -> dict[str, Any]:
    return {"frequency": str(panel.frequency), "covariates": dict(panel.covariates), "net_of_returns": panel.net_of_returns,
            "coordinates": _has_coordinates(panel)}


def _has_coordinates(panel: SalesPanel) -> bool:
    return panel.places is not None and {LATITUDE, LONGITUDE} <= set(panel.places.columns)


def _refuse_other_sales(traits: Traits, learned: Mapping[str, Any], panel: SalesPanel, folder: str) -> None:
    """A model forecasts what it learned on: without a covariate that it leans on, its numbers would silently be others."""
    if learned["frequency"] != str(panel.frequency):
        raise DataError(f"The model in {folder!r} was fitted on periods {learned['frequency']!r}, and these sales are "
                        f"{panel.frequency.word} ({panel.frequency}). Fit it again on these.")
    uses = {"known": traits.uses_known, "past": traits.uses_past, "static": traits.uses_static}
    for name, kind in learned["covariates"].items():
        if uses.get(kind) and panel.covariates.get(name) != kind:
            raise DataError(f"The model in {folder!r} was fitted with the {kind} covariate {shorten(name)!r}, which these "
                            f"sales do not have. Give it as then, or fit the model again without it.")
    if traits.uses_places and learned.get("coordinates") and not _has_coordinates(panel):
        raise DataError(f"The model in {folder!r} was fitted on places whose latitude and longitude it knew, and these sales come "
                        f"without. Give the same table of places (--places), or fit the model again without it.")


def read_places(folder: Path, *, also: Collection[str] = ()) -> pl.DataFrame | None:
    """The table of places that `save_model` kept; None where it kept none. `also` as for `read_label`.

    Raises
    ------
    WeightsError
        If it is no saved model, or the table is absent or differs from what was written.
    """
    written = read_label(folder, also=also).get("places")
    if written is None:
        return None
    path = folder / _PLACES
    if not path.is_file() or _hash(path) != written:
        raise WeightsError(f"The file {_PLACES!r} of the saved model {str(folder)!r} is absent or not what was written. Give the "
                           f"table of places that it was fitted with (--places), or save the model again.")
    try:
        return pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise WeightsError(f"The file {_PLACES!r} of the saved model {str(folder)!r} cannot be read. Give the table of places that "
                           f"it was fitted with (--places), or save the model again.") from error


def check_saved(folder: Path | str) -> None:
    """Refuse a folder whose label says that it is no saved model of this version; quick, since nothing else is read."""
    read_label(Path(folder))


def read_label(folder: Path, *, also: Collection[str] = ()) -> dict[str, Any]:
    """The label of a saved model, checked; `also` are names that stand for no single model."""
    if not folder.is_dir():
        raise WeightsError(f"There is no folder {str(folder)!r}, so no saved model.")
    try:
        label = json.loads((folder / _LABEL).read_text(encoding="utf-8"))
        files, name, written = label["files"], label["name"], label["format"]
        # A path in the label must stay inside the folder, whoever wrote it.
        sound = all(isinstance(h, str) and ".." not in Path(f).parts and not Path(f).is_absolute() for f, h in files.items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise WeightsError(f"{str(folder)!r} is not a saved model: {_LABEL} is absent or damaged.") from error
    if written != _FORMAT:
        raise WeightsError(f"{str(folder)!r} was written in format {shorten(written)}, and this version reads format {_FORMAT}; "
                           f"save the model again with this version.")
    if not sound:
        raise WeightsError(f"{str(folder)!r} names a file outside itself, which no saved model does: it was tampered with.")
    if name not in _MODELS and name not in also:
        raise WeightsError(f"{str(folder)!r} says it holds a model {shorten(name)!r}; known are {', '.join(_MODELS)}.")
    return dict(label)


def _entry(name: str) -> Entry:
    if name not in _MODELS:
        raise UnknownNameError("model", name, _MODELS)
    return _MODELS[name]


def _classes(entry: Entry) -> tuple[Any, Any]:
    """Model class and settings class; an ImportError of our own module is our bug and goes through as it is."""
    try:
        module = import_module(entry.module)
    except ImportError as error:
        culprit = (error.name or "").partition(".")[0]
        if culprit in ("", "shelfcast") or culprit != entry.package:
            raise
        raise MissingExtraError(f"The model {entry.model}", entry.extra or "all", culprit) from error
    return getattr(module, entry.model), getattr(module, entry.settings)


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
