"""Kinds of finding about the names of items and locations."""

from typing import Final

import polars as pl

from shelfcast.data.checks.view import View
from shelfcast.data.cleaning.tally import LINES, NAME, RAW
from shelfcast.data.findings import SHOWN, Found, Place, kind
from shelfcast.names import ITEM, KEYS, LOCATION

LONG: Final = 200  # characters; a name that no label or chart can show
FORMULA: Final = r"^\s*[=+\-@\t\r]"  # what spreadsheets run as a formula on opening (OWASP, CSV injection)
DUMMY: Final = (
    r"(?i)^(tests?|testing|dummy|samples?|demo|unknown|n/?a|none|null|nan|xxx+|todo|tbd|default|misc|adjust(ment)?s?|manual|deleted?)"
    r"(\d*|[\s_-].*)$"
)


def _texts(view: View) -> list[tuple[str, pl.DataFrame]]:
    """(item or location, its spellings as written) where they are texts."""
    if view.survey is None:
        panel = view.panel
        assert panel is not None
        frames = [(k, panel.series.group_by(pl.col(k).alias(RAW)).agg(pl.len().alias(LINES)).sort(RAW)) for k in KEYS]
        return [(k, f.with_columns(pl.col(RAW).alias(NAME))) for k, f in frames if f.schema[RAW] == pl.String]
    return [(k, t) for k, t in view.survey.names.items() if t.schema[RAW] == pl.String]


def _such(view: View, condition: pl.Expr) -> Found | None:
    """Names as written for which a condition over `raw` and `name` holds."""
    count, of, places = 0, 0, []
    for key, table in _texts(view):
        bad = table.filter(condition)
        count, of = count + bad.height, of + table.height
        for raw, lines in bad.select(RAW, LINES).head(SHOWN).iter_rows():
            places.append(
                Place(item=raw if key == ITEM else None, location=raw if key == LOCATION else None, value=f"{lines:,} lines")
            )
    return Found(count, of, places) if count else None


@kind(
    "differing_names",
    "WARNING",
    looks_at="names",
    says="names are written in several ways that differ by blanks or case",
    unit="names",
    why="One item under two names has half its sales under each.",
    does="they get the spelling that most lines use",
)
def differing_names(view: View) -> Found | None:
    """Spellings that cleaning replaces by the usual one."""
    return _such(view, pl.col(RAW) != pl.col(NAME))


@kind(
    "formula_names",
    "WARNING",
    looks_at="names",
    says="names begin with a sign that spreadsheets run as a formula",
    unit="names",
    why="A file opened in a spreadsheet would run what stands there.",
    does="nothing; reports show them as text",
)
def formula_names(view: View) -> Found | None:
    """Beginning with = + - @ or a control sign; negative numbers are let pass."""
    return _such(view, pl.col(RAW).str.contains(FORMULA) & ~pl.col(RAW).str.contains(r"^\s*[-+]?\d+([.,]\d+)?\s*$"))


@kind(
    "dummy_names",
    "WARNING",
    looks_at="names",
    says="names look like tests, corrections or placeholders",
    unit="names",
    why="What was booked to try the till, or to correct a sum, is not demand.",
    does="nothing; leave them out of the source if they are",
)
def dummy_names(view: View) -> Found | None:
    """Words like test, dummy, unknown, adjustment."""
    return _such(view, pl.col(RAW).str.contains(DUMMY))


@kind(
    "unreadable_names",
    "WARNING",
    looks_at="names",
    says="names are very long or hold control characters",
    unit="names",
    why="A shifted column or a wrong encoding put something else into the name.",
    does="nothing",
)
def unreadable_names(view: View) -> Found | None:
    """Over 200 characters, control characters, or the sign for bytes that are no text."""
    return _such(view, (pl.col(RAW).str.len_chars() > LONG) | pl.col(RAW).str.contains("[\\x00-\\x08\\x0b-\\x1f\\x7f\ufffd]"))
