"""What a user can ask for, as values: one frozen dataclass for each verb, checked as it is made."""

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import date, datetime
from pathlib import Path
from typing import Any, Literal, TypeGuard, get_args

from shelfcast.errors import SettingsError, SourceError, UnknownNameError, masked, printable, shorten, shorten_path
from shelfcast.forecast import check_levels
from shelfcast.names import LEVELS, ROLES, Absent
from shelfcast.periods import Frequency, parse_day

MAX_HORIZON = 5_000  # more than thirteen years of days; a longer one is a slip of the finger, not a plan

Returns = Literal["apart", "net"]
FinetuneMethod = Literal["frozen", "top", "lora", "full"]
Reconciling = Literal["auto", "none", "bottom_up", "top_down", "wls", "mint"]


@dataclass(frozen=True, kw_only=True)
class SalesSettings:
    """Where sales come from and how to read them.

    Attributes
    ----------
    sales : file, glob, folder, `-` (standard input), database address, or any Arrow frame
    columns : {role: column of the source}; roles that are not named are recognised
    covariates : files joined on whichever of item, location and date they have
    known : covariates whose future is given
    past : covariates seen only up to the cutoff
    static : file of attributes by item or location, or several
    places : file of locations with latitude and longitude
    query : SQL, when `sales` is a database address
    freq : D, W, M ...; None to infer
    cutoff : only rows up to this day are history; None for all
    absent : a period without a row is one in which nothing was sold (`zero`), or not known (`missing`); None to see by the data
    returns : `apart` sets returns aside, `net` subtracts them, and then sales may be negative
    rules : {cleaning rule: how}, for those that shall not do what they do by default; see `data.clean.CleanSettings`
    """

    sales: Any
    columns: Mapping[str, str] = field(default_factory=dict)
    covariates: tuple[Any, ...] = ()
    known: tuple[str, ...] = ()
    past: tuple[str, ...] = ()
    static: Any = None
    places: Any = None
    query: str | None = None
    freq: str | None = None
    cutoff: date | None = None
    absent: Absent | None = None
    returns: Returns = "apart"
    rules: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for role in self.columns:
            if role not in ROLES:
                raise UnknownNameError("role", role, ROLES, advice="Write --columns role=Name.")
        both = sorted(set(self.known) & set(self.past))
        if both:
            raise SettingsError(f"{shorten(both[0])!r} is declared both known and past; a covariate is one of them.")
        if self.freq is not None:
            Frequency.parse(self.freq)
        if self.returns not in ("apart", "net"):
            raise UnknownNameError("way with returns", str(self.returns), ["apart", "net"])
        if self.absent is not None and self.absent not in get_args(Absent):
            raise UnknownNameError("meaning of a period without a row", str(self.absent), get_args(Absent))
        if isinstance(self.cutoff, str):
            object.__setattr__(self, "cutoff", parse_day(self.cutoff))
        elif isinstance(self.cutoff, datetime):
            object.__setattr__(self, "cutoff", self.cutoff.date())


@dataclass(frozen=True, kw_only=True)
class ForecastSettings(SalesSettings):
    """A forecast: the sales, how far, by which model, and where results go.

    Attributes
    ----------
    horizon : periods after the cutoff, at least 1; None: those that a fitted model learned, else as far as known covariates
        reach, or by frequency
    model : `auto`, a registered name, or a folder that holds a fitted model
    options : settings of the model, by name
    levels : quantile levels of the output; a run folder's forecast also holds the default ones
    seed : of everything random
    backtest : score the model on a window of the past
    out : file to write the forecast to, .parquet or .csv
    run : folder that keeps everything about this run
    report : HTML file to write
    batch : series forecast at a time; bounds memory, changes no number
    overrides : planners' adjustments, a file or frame that `adjust.override_table.read_overrides` reads; None for none
    budget : seconds that `auto` may take to fit, or a text such as 90s, 5m, 1h. Where no past can be tried, a score needs a
        second fit, and each has half. None lets the data decide alone
    hierarchy : attributes of items and places (also `item` and `location`) by which sums are forecast, too, with their crosses
    reconcile : how series and sums are made to add up; `auto` (unless said) keeps the way that erred least in replayed windows,
        `none` leaves both as they are
    cache : folder of forecasts by content: one that was made before, of the same sales by the same model, is read from there
    """

    horizon: int | None = None
    model: str = "auto"
    options: Mapping[str, Any] = field(default_factory=dict)
    levels: tuple[float, ...] = LEVELS
    seed: int = 0
    backtest: bool = True
    out: Path | None = None
    run: Path | None = None
    report: Path | None = None
    batch: int = 4_096
    overrides: Any = None
    budget: float | None = None
    hierarchy: tuple[str, ...] = ()
    reconcile: Reconciling | None = None
    cache: Path | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.horizon is not None and not is_horizon(self.horizon):
            raise SettingsError(f"The horizon is {shorten(self.horizon)}; it must be a whole number of periods from 1 to "
                                f"{MAX_HORIZON:,}.")
        if isinstance(self.seed, bool) or not isinstance(self.seed, int) or not 0 <= self.seed < 2**31:
            raise SettingsError(f"The seed is {shorten(self.seed)}; it must be a whole number from 0 to {2**31 - 1:,}.")
        if self.batch < 1:
            raise SettingsError(f"The batch is {self.batch}; it must be at least 1 series.")
        _settle_hierarchy(self)
        object.__setattr__(self, "budget", parse_budget(self.budget))
        object.__setattr__(self, "levels", check_levels(self.levels))
        for name in ("out", "run", "report", "cache"):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, Path(value))
        if self.out is not None and self.out.suffix not in (".parquet", ".csv"):
            raise SettingsError(f"{shorten_path(self.out)!r} ends in neither .parquet nor .csv, the formats that forecasts are "
                                f"written in.")
        if self.report is not None and self.report.suffix not in (".html", ".htm"):
            raise SettingsError(f"{shorten_path(self.report)!r} does not end in .html, the format of a report.")
        targets = [t.absolute() for t in (self.out, self.run, self.report, self.cache) if t is not None]
        if len(set(targets)) < len(targets):
            raise SettingsError("Two of --out, --run, --report and --cache name the same place; give each its own.")

    @property
    def ahead(self) -> int:
        """The horizon, once `workflow.horizons` has settled it."""
        assert self.horizon is not None
        return self.horizon

    @property
    def all_levels(self) -> tuple[float, ...]:
        """The levels to compute: the asked ones, and the default ones for the run folder and the report."""
        return tuple(sorted({*self.levels, *LEVELS}))


@dataclass(frozen=True, kw_only=True)
class BacktestSettings(SalesSettings):
    """A replay of the past: the sales, which windows, which models, what is measured, and where results go.

    Attributes
    ----------
    horizon : periods to forecast in each window
    windows : how many windows of the past
    models : `auto` and registered names
    run : folder that keeps scores, losses, forecasts and the page; half-done work lies beside it as RUN.partial
    step : periods from one window to the next; None for the horizon
    refit : `every` fits each model anew in every window; `once` fits it on the oldest window's past alone
    options : settings of the models: `{name: value}` for each model that has such a setting, `{model.name: value}` for one
    metrics : measures that are shown, the first decides who won; all are kept
    levels : quantile levels to forecast; 0.5 must be among them
    seed : of everything random
    jobs : processes that work at the same time; the numbers are the same for any
    max_series : with more series than this, a sample drawn by `seed` is scored (all of them teach)
    own_ends : each series ends with its own last known sale, and its windows are counted back from there
    overrides : planners' adjustments, as for a forecast; those written before a window are scored beside each model
    budget : seconds that `auto` may take in each window, or a text such as 90s, 5m, 1h; None lets the data decide alone
    hierarchy, reconcile : as for a forecast: in each window sums are forecast, too, and made to agree by its past alone
    """

    horizon: int
    windows: int = 3
    models: tuple[str, ...] = ("auto", "naive")
    run: Path
    step: int | None = None
    refit: Literal["every", "once"] = "every"
    options: Mapping[str, Any] = field(default_factory=dict)
    metrics: tuple[str, ...] = ("SQL", "WQL", "WAPE", "MASE", "bias", "coverage 0.1-0.9")
    levels: tuple[float, ...] = LEVELS
    seed: int = 0
    jobs: int = 1
    max_series: int = 20_000
    own_ends: bool = False
    overrides: Any = None
    budget: float | None = None
    hierarchy: tuple[str, ...] = ()
    reconcile: Reconciling | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        _settle_hierarchy(self)
        if self.hierarchy and (self.own_ends or self.refit == "once"):
            why = ("series that end at dates of their own (--own-ends) have no sums in common" if self.own_ends else
                   "how sums agree is learned in every window, and --refit once learns in the oldest alone")
            raise SettingsError(f"--hierarchy cannot be had together with that: {why}. Leave one of the two out.")
        _check_whole("horizon", self.horizon, 1, MAX_HORIZON)
        _check_whole("number of windows", self.windows, 1, 1_000)
        _check_whole("seed", self.seed, 0, 2**31 - 1)
        _check_whole("number of jobs", self.jobs, 1, 256)
        _check_whole("largest number of series to score", self.max_series, 1, 10**9)
        if self.step is not None:
            _check_whole("step between windows", self.step, 1, MAX_HORIZON)
        if self.refit not in ("every", "once"):
            raise UnknownNameError("way to refit", str(self.refit), ["every", "once"])
        if not self.models:
            raise SettingsError("A backtest needs at least one model, such as --models auto,naive.")
        if not self.metrics:
            raise SettingsError("A backtest shows at least one measure, such as --metrics SQL,WAPE.")
        twice = sorted({m for m in self.models if self.models.count(m) > 1})
        if twice:
            raise SettingsError(f"The model {shorten(twice[0])!r} is named twice; once suffices.")
        object.__setattr__(self, "budget", parse_budget(self.budget))
        object.__setattr__(self, "levels", check_levels(self.levels))
        if 0.5 not in self.levels:
            raise SettingsError(f"A backtest measures the median, so its levels must hold 0.5; got "
                                f"{', '.join(f'{q:g}' for q in self.levels)}.")
        object.__setattr__(self, "run", Path(self.run))


@dataclass(frozen=True, kw_only=True)
class CompareSettings:
    """A comparison of the models of finished backtests.

    Attributes
    ----------
    runs : folders that `backtest` wrote; one suffices when it holds several models
    models : which to compare, in this order; none for all
    metric : SQL, WQL, MASE, WAPE, RMSE, bias, coverage, MAE, MSE, sMAPE or CRPS: the one that decides
    baseline : the model that skill is measured against; None for naive, else the second of two, else the worst
    by : what is drawn anew: each `series`, or all series of an `item` or a `location` together
    block : windows drawn together; None for as many as overlap, horizon / step
    replicates, confidence, method, seed : as in `evaluate.resampling.Resampling`
    report : HTML file to write
    """

    runs: tuple[Path, ...]
    models: tuple[str, ...] = ()
    metric: str = "SQL"
    baseline: str | None = None
    by: Literal["series", "item", "location"] = "series"
    block: int | None = None
    replicates: int = 2000
    confidence: float = 0.95
    method: Literal["percentile", "bca"] = "percentile"
    seed: int = 0
    report: Path | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "runs", tuple(Path(run) for run in self.runs))
        if not self.runs:
            raise SettingsError("A comparison needs the folder of at least one backtest.")
        places = [run.absolute() for run in self.runs]
        twice = [run for run, place in zip(self.runs, places, strict=True) if places.count(place) > 1]
        if twice:
            raise SettingsError(f"The run {shorten_path(twice[0])!r} is given twice; a run is not compared with itself.")
        if self.by not in ("series", "item", "location"):
            raise UnknownNameError("unit to draw", str(self.by), ["series", "item", "location"])
        _check_whole("number of replicates", self.replicates, 100, 100_000)
        if self.block is not None:
            _check_whole("number of windows in a block", self.block, 1, 1_000)
        _check_whole("seed", self.seed, 0, 2**31 - 1)
        if self.report is not None:
            object.__setattr__(self, "report", Path(self.report))
            if self.report.suffix not in (".html", ".htm"):
                raise SettingsError(f"{shorten_path(self.report)!r} does not end in .html, the format of a report.")


@dataclass(frozen=True, kw_only=True)
class TuneSettings(SalesSettings):
    """A search for the settings of a model: the sales, the model, what is fixed, how long, and where results go.

    Attributes
    ----------
    model : a registered name
    horizon : periods to forecast in each window; None: as far as known covariates reach, or by frequency
    options : settings of the model that are fixed, by name; all others of its space are searched
    budget : seconds for everything, or a text such as 90s, 5m, 1h; None: 20 minutes, or no limit where `trials` is given
    trials : at most so many, the default included; None for as many as the budget holds
    windows : windows of the past that settings are chosen by; None: two, or as many as the past allows. One more, the last, is
        kept aside wherever there is one more
    run : folder that keeps the study, the best settings and the page
    seed : of everything random
    max_series : with more series than this, a sample drawn by `seed` is scored (all of them teach)
    """

    model: str
    horizon: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    budget: float | None = None
    trials: int | None = None
    windows: int | None = None
    run: Path = Path("tuned")
    seed: int = 0
    max_series: int = 5_000

    def __post_init__(self) -> None:
        super().__post_init__()
        for what, value, most in (("horizon", self.horizon, MAX_HORIZON), ("number of trials", self.trials, 100_000),
                                  ("number of windows", self.windows, 1_000)):
            if value is not None:
                _check_whole(what, value, 1, most)
        _check_whole("seed", self.seed, 0, 2**31 - 1)
        _check_whole("largest number of series to score", self.max_series, 1, 10**9)
        budget = parse_budget(self.budget)
        object.__setattr__(self, "budget", 1_200.0 if budget is None and self.trials is None else budget)
        object.__setattr__(self, "run", Path(self.run))


@dataclass(frozen=True, kw_only=True)
class FinetuneSettings(SalesSettings):
    """A fine-tuning of the pretrained network: the sales, how it learns, and where results go.

    Attributes
    ----------
    more : further sales, read as the first are, which the same network learns together with them
    method : which of its numbers move; see `nn.adapt`
    weights : name of weights in the box, or a folder of them
    horizon : periods that will be asked for; None: as far as known covariates reach, or by frequency
    steps, patience, rank : as in `models.finetuning.AdaptSettings`, whose defaults hold where they are None
    options : its other settings, by name
    run : folder that keeps weights, model, scores and page
    seed : of everything random
    """

    more: tuple[Any, ...] = ()
    method: FinetuneMethod = "top"
    weights: str = "tiny"
    horizon: int | None = None
    steps: int | None = None
    patience: int | None = None
    rank: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    run: Path
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.method not in get_args(FinetuneMethod):
            raise UnknownNameError("method of fine-tuning", str(self.method), get_args(FinetuneMethod))
        for what, value, most in (("horizon", self.horizon, MAX_HORIZON), ("number of steps", self.steps, 1_000_000),
                                  ("patience", self.patience, 1_000_000), ("rank", self.rank, 4_096)):
            if value is not None:
                _check_whole(what, value, 1, most)
        _check_whole("seed", self.seed, 0, 2**31 - 1)
        object.__setattr__(self, "weights", str(self.weights))
        object.__setattr__(self, "run", Path(self.run))


def _settle_hierarchy(settings: ForecastSettings | BacktestSettings) -> None:
    """Check how sums are asked for, and fill in `auto` where only their levels are."""
    asked = settings.hierarchy
    object.__setattr__(settings, "hierarchy", (asked,) if isinstance(asked, str) else tuple(asked))
    if settings.reconcile is not None and settings.reconcile not in get_args(Reconciling):
        raise UnknownNameError("way to reconcile", str(settings.reconcile), get_args(Reconciling))
    if settings.reconcile is not None and not settings.hierarchy:
        raise SettingsError(f"Reconciling by {settings.reconcile!r} needs sums to agree with: give --hierarchy with attributes of "
                            f"items or places, for example --hierarchy category,region.")
    if settings.hierarchy and settings.reconcile is None:
        object.__setattr__(settings, "reconcile", "auto")


def is_horizon(value: object) -> TypeGuard[int]:
    """Whether a value is a number of periods that may be asked for."""
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MAX_HORIZON


def _check_whole(what: str, value: object, least: int, most: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise SettingsError(f"The {what} is {shorten(value)}; it must be a whole number from {least:,} to {most:,}.")


def parse_budget(budget: Any) -> float | None:
    """Seconds of `90s`, `5m`, `1h`, or of a plain number of seconds; None stays None.

    >>> parse_budget("5m"), parse_budget("1.5h"), parse_budget(90)
    (300.0, 5400.0, 90.0)
    """
    if budget is None:
        return None
    found = re.fullmatch(r"\s*(\d{1,9}(?:\.\d{1,9})?)\s*([smh]?)\s*", str(budget))
    seconds = float(found[1]) * {"m": 60.0, "h": 3600.0}.get(found[2], 1.0) if found else 0.0
    if isinstance(budget, bool) or not seconds > 0:
        raise SettingsError(f"{shorten(budget)!r} is no time budget. Write seconds, minutes or hours: 90s, 5m, 1h.")
    return seconds


def to_toml(settings: SalesSettings) -> str:
    """Settings as TOML, resolved: what ran can be read and run again. In-memory frames are named by their type."""
    lines = []
    for spec in fields(settings):
        value = _source(settings.sales) if spec.name == "sales" else getattr(settings, spec.name)
        if value is None or (isinstance(value, tuple | Mapping) and not value):
            continue
        lines.append(f"{spec.name} = {_toml(value)}")
    return "\n".join(lines) + "\n"


def options_to_toml(model: str, options: Mapping[str, Any], *, about: str) -> str:
    """Settings of a model as TOML, for `options_from_toml`; those that are None are left out, for that is their default."""
    lines = [f"# {line}" for line in about.splitlines()] + [f"model = {_toml(model)}", "", "[options]"]
    return "\n".join([*lines, *(f"{_key(k)} = {_toml(v)}" for k, v in options.items() if v is not None)]) + "\n"


def options_from_toml(path: Path | str, *, model: str) -> dict[str, Any]:
    """The settings of a model that `options_to_toml` wrote, such as a tuning's `best.toml`.

    Raises
    ------
    SourceError
        If there is no such file.
    SettingsError
        If it is no file of settings, or one of another model.
    """
    try:
        found = tomllib.loads(Path(path).read_text(encoding="utf-8"))
        written, options = found["model"], dict(found["options"])
    except OSError as error:
        raise SourceError(f"{shorten_path(path)!r} cannot be read ({error.strerror}), so no settings. Give the best.toml that "
                          f"`shelfcast tune` wrote.") from error
    except (ValueError, KeyError, TypeError) as error:
        raise SettingsError(f"{shorten_path(path)!r} is no file of a model's settings: it needs a line model = \"NAME\" and a "
                            f"table [options], as the best.toml of `shelfcast tune` has.") from error
    if written != model:
        raise SettingsError(f"{shorten_path(path)!r} holds settings of the model {shorten(written)!r}, and the model asked for is "
                            f"{shorten(model)!r}. Give --model {shorten(written)}.")
    return options


def as_json(settings: SalesSettings) -> dict[str, Any]:
    """Settings as plain values for a manifest."""
    shallow = {f.name: getattr(settings, f.name) for f in fields(settings)}
    shallow["sales"] = _source(settings.sales)
    return json.loads(json.dumps(shallow, default=_plain))


def _source(sales: Any) -> Any:
    """Where sales come from, without a password: run folders are handed around."""
    return masked(sales) if isinstance(sales, str) else sales


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    if hasattr(value, "__dataclass_fields__"):
        return asdict(value)
    if isinstance(value, date | Path):
        return str(value)
    return f"<{type(value).__module__}.{type(value).__name__}>"


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, tuple | list):
        return "[" + ", ".join(_toml(v) for v in value) + "]"
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_key(str(k))} = {_toml(v)}" for k, v in value.items()) + " }"
    # a JSON string is a TOML basic string, but for DEL, which TOML wants escaped
    text = value if isinstance(value, str) else str(_plain(value))
    if any("\ud800" <= c <= "\udfff" for c in text):  # a file name that is no Unicode; TOML has no way to write it
        text = printable(text)
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _key(text: str) -> str:
    return text if re.fullmatch(r"[A-Za-z0-9_-]+", text) else json.dumps(text, ensure_ascii=False)
