"""Findings: what checking found, how much of it, where first, what it costs, and what cleaning will do about it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime
from typing import Any, Final, Literal, TypeVar

import polars as pl

from shelfcast.errors import shorten
from shelfcast.names import ALL

Severity = Literal["ERROR", "WARNING", "NOTE"]
SEVERITIES: Final[tuple[Severity, ...]] = ("ERROR", "WARNING", "NOTE")
SHOWN: Final = 5  # places named with a finding
_SINGULAR: Final = {
    "have": "has",
    "are": "is",
    "lie": "lies",
    "repeat": "repeats",
    "jump": "jumps",
    "hold": "holds",
    "begin": "begins",
    "look": "looks",
    "stand": "stands",
    "sell": "sells",
    "cancel": "cancels",
    "change": "changes",
    "equal": "equals",
    "would": "would",
    "were": "was",
}
_INDENT: Final = 10
_WIDTH: Final = 78  # of a finding's sentence before its place, so that both fit on a wide terminal


@dataclass(frozen=True)
class Place:
    """Where a finding shows: whatever of these is known.

    Attributes
    ----------
    line : line number in the text file, counted from 1
    row : data row, counted from 1
    item, location : as written
    date : day of the period
    value : what stands there, as written
    """

    line: int | None = None
    row: int | None = None
    item: Any = None
    location: Any = None
    date: date | datetime | None = None
    value: str | None = None

    def __str__(self) -> str:
        parts = [f"line {self.line:,}" if self.line is not None else f"row {self.row:,}" if self.row is not None else ""]
        parts += [f"item {shorten(self.item, 30)}" if self.item not in (None, ALL) else ""]
        parts += [f"location {shorten(self.location, 30)}" if self.location not in (None, ALL) else ""]
        parts += [str(self.date) if self.date is not None else "", shorten(self.value, 60) if self.value is not None else ""]
        return ", ".join(p for p in parts if p)


@dataclass(frozen=True)
class Finding:
    """One kind of thing that was found.

    Attributes
    ----------
    name : of its kind
    severity : ERROR makes a forecast impossible or untrue, WARNING may, NOTE is good to know
    says : what is the case, after the count: `rows repeat an item, location and date`
    count, of : how many, of how many
    unit : what is counted: rows, series, places ...
    why : one sentence for a planner: why this matters
    does : what cleaning does about it
    places : the first few
    money : at stake, in the money of the prices; None without prices
    """

    name: str
    severity: Severity
    says: str
    count: int
    of: int
    unit: str
    why: str
    does: str
    places: tuple[Place, ...] = ()
    money: float | None = None

    @property
    def headline(self) -> str:
        """Count and sentence: `412 rows repeat an item, location and date`."""
        if self.count != 1:
            return f"{self.count:,} {self.says}"
        words = self.says.split(" ")
        noun = next((i for i, word in enumerate(words) if word.endswith("s")), 0)  # `known covariates have`
        verb = next((i for i, word in enumerate(words) if i > noun and word in _SINGULAR), 0)
        if words[noun] != "series":
            words[noun] = words[noun].removesuffix("s")
        words[verb] = _SINGULAR.get(words[verb], words[verb])
        return " ".join(["1", *words])

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        out = asdict(self)
        out["places"] = [{k: _plain(v) for k, v in asdict(p).items() if v is not None} for p in self.places]
        return out


@dataclass(frozen=True)
class Findings:
    """All findings about one source, the gravest first.

    Attributes
    ----------
    found : the findings
    source : what was looked at
    summary : one line: rows, items, locations, frequency, dates
    """

    found: tuple[Finding, ...]
    source: str = ""
    summary: str = ""

    def __post_init__(self) -> None:
        order = sorted(self.found, key=lambda f: SEVERITIES.index(f.severity))  # stable: within a severity as they were looked for
        object.__setattr__(self, "found", tuple(order))

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.found)

    def __len__(self) -> int:
        return len(self.found)

    @property
    def worst(self) -> Severity | None:
        """The gravest severity, None without findings."""
        return self.found[0].severity if self.found else None

    @property
    def has_errors(self) -> bool:
        """At least one ERROR: the data need attention before a forecast can be believed."""
        return self.worst == "ERROR"

    def named(self, name: str) -> Finding | None:
        """The finding of one kind, None where nothing of it was found."""
        return next((f for f in self.found if f.name == name), None)

    def to_frame(self) -> pl.DataFrame:
        """One row a finding: `name, severity, says, count, of, unit, money, first, why, does`."""
        schema = {
            "name": pl.String,
            "severity": pl.String,
            "says": pl.String,
            "count": pl.Int64,
            "of": pl.Int64,
            "unit": pl.String,
            "money": pl.Float64,
            "first": pl.String,
            "why": pl.String,
            "does": pl.String,
        }
        rows = [
            (f.name, f.severity, f.says, f.count, f.of, f.unit, f.money, str(f.places[0]) if f.places else None, f.why, f.does)
            for f in self.found
        ]
        return pl.DataFrame(rows, schema=schema, orient="row")

    def to_json(self) -> dict[str, Any]:
        """Plain values: source, summary, worst, findings."""
        return {"source": self.source, "summary": self.summary, "worst": self.worst, "findings": [f.to_dict() for f in self.found]}

    def to_text(self, *, next_step: str = "") -> str:
        """For a terminal: a line each, ending in what to do next."""
        lines = [f"{shorten(self.source, 60)}   {self.summary}".rstrip(), ""]
        for f in self.found:
            said = f.headline
            first = f"first: {f.places[0]}" if f.places and str(f.places[0]) else ""
            lines.append(f"  {f.severity:<{_INDENT - 2}}{said:<{_WIDTH}}{'  ' + first if first else ''}".rstrip())
            money = f"{f.money:,.0f} in money at stake; " if f.money else ""
            lines.append(f"  {'':<{_INDENT - 2}}{money}cleaning: {f.does}")
        if not self.found:
            lines.append("  Nothing was found that needs attention.")
        counts = {s: sum(f.severity == s for f in self.found) for s in SEVERITIES}
        told = ", ".join(f"{n} {s}{'S' if n != 1 else ''}" for s, n in counts.items() if n)
        step = next_step or (
            "mend the ERRORs above, then check again" if self.has_errors else "shelfcast forecast, which cleans as said above"
        )
        return "\n".join([*lines, "", *([told] if told else []), f"Next: {step}"])


# -- kinds ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Found:
    """What a kind's function gives back; severity and action only where they differ from the kind's."""

    count: int
    of: int
    places: Sequence[Place] = ()
    money: float | None = None
    severity: Severity | None = None
    says: str | None = None
    does: str | None = None


@dataclass(frozen=True)
class FindingKind:
    """A kind of finding: its words, and the function that looks for it.

    Attributes
    ----------
    name, severity, says, unit, why, does : as in Finding
    looks_at : lines, names, series, covariates or places
    look : the function, given a view of the data
    """

    name: str
    severity: Severity
    looks_at: str
    says: str
    unit: str
    why: str
    does: str
    look: Callable[[Any], Found | None]

    def finding(self, found: Found) -> Finding:
        """The kind's words with what was found."""
        return Finding(
            self.name,
            found.severity or self.severity,
            found.says or self.says,
            found.count,
            found.of,
            self.unit,
            self.why,
            found.does or self.does,
            tuple(found.places[:SHOWN]),
            found.money,
        )


_REGISTRY: dict[str, FindingKind] = {}
KINDS: Final[Mapping[str, FindingKind]] = _REGISTRY  # filled by the files of checks/
Look = TypeVar("Look", bound=Callable[[Any], Found | None])


def kind(name: str, severity: Severity, *, looks_at: str, says: str, unit: str, why: str, does: str) -> Callable[[Look], Look]:
    """Register the function below as one kind of finding."""

    def register(look: Look) -> Look:
        if name in _REGISTRY:
            raise ValueError(f"Two kinds of finding are called {name!r}.")
        _REGISTRY[name] = FindingKind(name, severity, looks_at, says, unit, why, does, look)
        return look

    return register


def joined(findings: Findings, more: Sequence[Finding]) -> Findings:
    """Findings with some more, such as those of forecasting itself."""
    return replace(findings, found=(*findings.found, *more))


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, (date, datetime)) else value
