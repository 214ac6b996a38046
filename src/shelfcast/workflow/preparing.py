"""What every verb begins with: read, check, clean, and refuse what cannot be used. Also the verbs that end there."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from datetime import datetime
from fnmatch import fnmatchcase
from pathlib import Path

import polars as pl

from shelfcast.data.check import check_sales
from shelfcast.data.clean import Cleaned, CleanSettings, clean_sales
from shelfcast.data.cleaning.flaws import REJECTING
from shelfcast.data.columns.beside import add_places
from shelfcast.data.findings import SEVERITIES, Finding, Findings
from shelfcast.data.formats.tables import unreadable
from shelfcast.data.lifecycle import judge
from shelfcast.data.lines import SalesLines
from shelfcast.data.read import read_sales
from shelfcast.errors import DataError, SettingsError, UnknownNameError, shorten
from shelfcast.files import check_folder, whole_folder
from shelfcast.models.base import Forecaster
from shelfcast.names import SALES
from shelfcast.operate.runs import CLEANED, Manifest, write_tables
from shelfcast.panel import PERIOD, SalesPanel
from shelfcast.progress import Progress, Silent
from shelfcast.settings import MAX_HORIZON, ForecastSettings, SalesSettings

Say = Callable[[str], None]
DEVICE, WHY_DEVICE = "cpu", "every model of this version runs on the CPU"


def silent(_: str) -> None:
    """The way to say nothing."""


@dataclass
class Clock:
    """Wall seconds by stage."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = round(self.seconds.get(name, 0.0) + time.perf_counter() - start, 3)


@dataclass(frozen=True, kw_only=True)
class Places:
    """A table of places that was not given with the sales, and where it is from."""

    table: pl.DataFrame
    source: str


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """Sales that were read, checked and cleaned, with the series that are still sold; `told` of what was chosen after that."""

    lines: SalesLines
    findings: Findings
    cleaned: Cleaned
    panel: SalesPanel
    withdrawn: pl.DataFrame
    told: tuple[str, ...] = ()


def check(settings: SalesSettings, *, horizon: int = 0, say: Say = silent, progress: Progress | None = None) -> Findings:
    """Findings about sales; changes nothing."""
    if horizon < 0 or horizon > MAX_HORIZON:
        raise SettingsError(f"The horizon is {shorten(horizon)}; it must be a whole number of periods from 0 to {MAX_HORIZON:,}.")
    lines = read(settings, say)
    with reading(lines):
        return check_sales(lines, horizon=horizon, cutoff=settings.cutoff, progress=progress or Silent())


def clean(settings: SalesSettings, out: Path, *, say: Say = silent, progress: Progress | None = None) -> Cleaned:
    """Clean sales into a folder: panel/, sales.parquet, changes.csv, rejected.csv."""
    check_folder(out, marks=CLEANED)
    lines = read(settings, say)
    with reading(lines):
        cleaned = clean_sales(lines, settings=rules(settings), cutoff=settings.cutoff, progress=progress or Silent())
    for sentence in cleaned.told:
        say(sentence)
    with whole_folder(out) as folder:
        cleaned.panel.save(folder / "panel")
        cleaned.panel.to_frame().write_parquet(folder / "sales.parquet")
        write_tables(folder, {"changes": cleaned.changes, "rejected": cleaned.rejected})
    return cleaned


def is_among(target: Path, given: str) -> bool:
    """Whether an existing file is what a name, a folder or a glob means."""
    if not target.is_file():
        return False
    if os.path.isfile(given):
        return os.path.samefile(given, target)
    if os.path.isdir(given):
        return Path(given).resolve() in target.resolve().parents
    return fnmatchcase(str(target.resolve()), str(Path(given).absolute()))


def read(settings: SalesSettings, say: Say, *, places: Places | None = None) -> SalesLines:
    """The sales and what belongs to them.

    Parameters
    ----------
    places : a table of places for what the sales and what was given with them do not tell
    """
    lines = read_sales(settings.sales, columns=settings.columns, freq=settings.freq, covariates=settings.covariates,
                       known=settings.known, past=settings.past, static=settings.static, places=settings.places,
                       query=settings.query, absent=settings.absent)
    if places is not None:
        with reading(lines):
            lines = add_places(lines, places.table, source=places.source)
    for sentence in lines.told:
        say(sentence)
    return lines


@contextmanager
def reading(lines: SalesLines) -> Iterator[None]:
    """Lines are read while they are checked and cleaned: damage deep inside a file shows only then."""
    try:
        yield
    except (pl.exceptions.ComputeError, pl.exceptions.PanicException) as error:
        raise unreadable(lines.source, error) from error


def rules(settings: SalesSettings) -> CleanSettings:
    known = [f.name for f in fields(CleanSettings) if f.name not in ("returns", "today")]  # one is a setting, one for tests
    for name, value in settings.rules.items():
        if name not in known:
            raise UnknownNameError("cleaning rule", name, known)
        default = getattr(CleanSettings(), name)
        if isinstance(default, bool) and not isinstance(value, bool):
            raise SettingsError(f"The cleaning rule {name} is switched by true or false, not by {shorten(value)!r}.")
    return CleanSettings(**{"returns": settings.returns, **settings.rules})


def prepare(settings: ForecastSettings, clock: Clock, say: Say, progress: Progress, *, places: Places | None = None) -> Prepared:
    """Sales ready to forecast; where no horizon is given yet, it is not checked that known covariates reach so far."""
    lines, findings, cleaned = prepare_all(settings, clock, say, progress, horizon=settings.horizon or 0, places=places)
    judged = judge(cleaned.panel)
    sold = judged["sold"].to_numpy()
    if not sold.any():
        end = cleaned.panel.frequency.date(cleaned.panel.cutoff)
        raise DataError(f"None of the {len(sold):,} series is still sold on {end}, so there is nothing to forecast. "
                        f"Choose an earlier --cutoff.")
    withdrawn = judged.filter(~pl.col("sold")).drop("sold")
    if withdrawn.height:
        say(f"{withdrawn.height:,} of {len(sold):,} series are judged withdrawn and not forecast; the first: "
            f"item {withdrawn['item'][0]} at {withdrawn['location'][0]}, {withdrawn['reason'][0]}.")
    panel = cleaned.panel if sold.all() else cleaned.panel.select(sold)
    return Prepared(lines=lines, findings=findings, cleaned=cleaned, panel=panel, withdrawn=withdrawn)


def prepare_all(settings: SalesSettings, clock: Clock, say: Say, progress: Progress, *,
                horizon: int, places: Places | None = None) -> tuple[SalesLines, Findings, Cleaned]:
    """Read, check and clean, every series whether it is still sold or not; refuse what cannot be used."""
    with clock("read"):
        lines = read(settings, say, places=places)
    with clock("check"), reading(lines):
        findings = check_sales(lines, horizon=horizon, cutoff=settings.cutoff, progress=progress)
    with clock("clean"), reading(lines):
        cleaned = clean_sales(lines, settings=rules(settings), cutoff=settings.cutoff, progress=progress)
    say(f"{cleaned.panel!r}.")
    for sentence in cleaned.told:
        say(sentence)
    _refuse_ruins(cleaned, findings, settings, say)
    return lines, findings, cleaned


def _refuse_ruins(cleaned: Cleaned, findings: Findings, settings: SalesSettings, say: Say) -> None:
    """A forecast from less than half of the rows, or without a single unit sold, is worth nothing; and it is said what was lost."""
    panel = cleaned.panel
    lost = [f for f in findings if f.name in REJECTING]
    if lost:
        told = f"{cleaned.rejected_count:,} of {lost[0].of:,} rows cannot be used: {_reasons(lost)}."
        if 2 * cleaned.rejected_count > lost[0].of:
            raise DataError(f"{told} Mend them first; `shelfcast check` says more, `shelfcast clean` lists each with its reason.")
        say(told)
    end = panel.frequency.date(panel.cutoff)
    if not panel.rows.filter(pl.col(PERIOD) <= panel.cutoff).select((pl.col(SALES) != 0).any()).item():
        grave = _reasons([f for f in findings if f.unit == "rows" and 2 * f.count >= f.of])
        raise DataError(f"Not one unit was sold up to {end}, as far as the data can be read, so there is nothing to learn from. "
                        f"{f'Found: {grave}. ' if grave else ''}Is this the column of the sales? --columns sales=Name")
    after = panel.frequency.date(panel.cutoff + 1)
    if settings.cutoff is not None and settings.cutoff >= (after.date() if isinstance(after, datetime) else after):
        say(f"History ends with {end}, before the cutoff {settings.cutoff}: the forecast begins on {after}.")


def _reasons(found: list[Finding]) -> str:
    """Findings with their first place, on one line."""
    return "; ".join(f"{f.count:,} {f.says}" + (f" (first: {f.places[0]})" if f.places else "") for f in found[:5])


def severities(findings: Findings) -> dict[str, int]:
    """{severity: how many kinds of finding}, the gravest first."""
    return {severity: sum(f.severity == severity for f in findings) for severity in SEVERITIES}


def manifest_of(verb: str, settings: ForecastSettings, prepared: Prepared, model: Forecaster, why: str, clock: Clock) -> Manifest:
    panel = prepared.panel
    counts = {"series": len(prepared.cleaned.panel), "forecast": len(panel), "withdrawn": prepared.withdrawn.height,
              "rows": prepared.cleaned.panel.rows.height, "rejected_rows": prepared.cleaned.rejected_count,
              **{f"findings_{k.lower()}": v for k, v in severities(prepared.findings).items()}}
    return Manifest(verb=verb, model=model.traits.name, why_model=why, device=DEVICE, why_device=WHY_DEVICE, seed=settings.seed,
                    fingerprint=panel.fingerprint(), cutoff=str(panel.frequency.date(panel.cutoff)), frequency=str(panel.frequency),
                    horizon=settings.ahead, seconds=dict(clock.seconds), counts=counts,
                    notes=(*prepared.lines.told, *prepared.cleaned.told, *prepared.told))
