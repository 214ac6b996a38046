"""How numbers, dates and names are written for a reader: the one place that decides digits, separators and signs."""

import math
import unicodedata
from collections.abc import Iterable
from datetime import date, datetime

from shelfcast.errors import shorten
from shelfcast.periods import Frequency

MINUS = "−"
THIN = "\u202f"  # narrow no-break space, between a number and its percent sign
UNKNOWN = "–"
JOINERS = "\u200c\u200d"  # they shape letters in Persian and Hindi and command nothing
NAME_LIMIT = 48  # characters; longer names are cut, the page says so by the three dots


def quantity(value: float | None, decimals: int | None = None) -> str:
    """A number with thousands separators and as many decimals as its size deserves.

    >>> quantity(1234567.8), quantity(12.34), quantity(0.056), quantity(-3.0), quantity(float("nan"))
    ('1,234,568', '12.3', '0.06', '−3', '–')
    """
    if value is None or not math.isfinite(value):
        return UNKNOWN
    if decimals is None:
        decimals = 0 if value == round(value) else decimals_for([value])
    text = f"{abs(value):,.{decimals}f}"
    return f"{MINUS}{text}" if value < 0 and any(c in "123456789" for c in text) else text


def decimals_for(values: Iterable[float]) -> int:
    """Decimals that one column of numbers shares: none from 100 up, one from 10, else two; none if all are whole."""
    finite = [abs(v) for v in values if v is not None and math.isfinite(v)]
    top = max(finite, default=0.0)
    if top >= 100 or all(v == round(v) for v in finite):
        return 0
    return 1 if top >= 10 else 2


def rounded(value: float | None) -> str:
    """A number for a headline: words from a million up.

    >>> rounded(4_123_456), rounded(987_654.3), rounded(2.5e9)
    ('4.12 million', '987,654', '2.50 billion')
    """
    if value is None or not math.isfinite(value):
        return UNKNOWN
    for size, word in ((1e12, "trillion"), (1e9, "billion"), (1e6, "million")):
        if abs(value) >= size:
            scaled = abs(value) / size
            digits = 2 if scaled < 10 else 1 if scaled < 100 else 0
            return f"{MINUS if value < 0 else ''}{scaled:,.{digits}f} {word}"
    return quantity(value)


def axis(value: float) -> str:
    """A tick's label: short, exact for round numbers.

    >>> axis(250_000), axis(1_500_000), axis(0.0), axis(0.25)
    ('250k', '1.5M', '0', '0.25')
    """
    for size, letter in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size * (1 - 1e-9):
            return f"{MINUS if value < 0 else ''}{abs(value) / size:.6g}{letter}"
    return f"{MINUS if value < 0 else ''}{abs(value):.6g}"


def percent(share: float | None, *, signed: bool = False) -> str:
    """A share as a percentage with one decimal below 100.

    >>> percent(0.0764), percent(-0.031, signed=True), percent(2.5, signed=True)
    ('7.6\u202f%', '−3.1\u202f%', '+250\u202f%')
    """
    if share is None or not math.isfinite(share):
        return UNKNOWN
    value = 100 * share
    text = f"{abs(value):,.{1 if abs(value) < 99.95 else 0}f}"
    nothing = not any(c in "123456789" for c in text)
    sign = "" if nothing else MINUS if value < 0 else "+" if signed else ""
    return f"{sign}{text}{THIN}%"


def change(share: float | None, *, limit: float = 9.995) -> str:
    """A relative change; beyond tenfold the number says nothing, so words do."""
    if share is not None and math.isfinite(share) and share > limit:
        return f"over +{limit * 100:,.0f}{THIN}%"
    return percent(share, signed=True)


def periods(count: int, frequency: Frequency) -> str:
    """`48 days`, `1 week`."""
    return f"{count:,} {frequency.noun}{'' if count == 1 else 's'}"


def day(moment: date | datetime | None, frequency: Frequency | None = None) -> str:
    """A date in a sentence: `14 Jun 2015`, `Jun 2015` for months, with the hour for hours."""
    if moment is None:
        return UNKNOWN
    unit = frequency.unit if frequency else "D"
    if unit == "M":
        return f"{moment:%b %Y}"
    if unit == "Q":
        return f"Q{(moment.month + 2) // 3} {moment.year}"
    if unit == "Y":
        return str(moment.year)
    text = f"{moment.day} {moment:%b %Y}"
    return f"{text}, {moment:%H:%M}" if unit == "h" and isinstance(moment, datetime) else text


def span(first: date, last: date, frequency: Frequency) -> str:
    """Two dates as a stretch: `14 Jun to 31 Jul 2015`.

    >>> span(date(2015, 6, 14), date(2015, 7, 31), Frequency("D"))
    '14 Jun to 31 Jul 2015'
    """
    if first == last:
        return day(first, frequency)
    start = day(first, frequency)
    if first.year == last.year and frequency.unit in "DWM":
        start = start.removesuffix(f" {first.year}")
    return f"{start} to {day(last, frequency)}"


def stamp(moment: date | datetime, frequency: Frequency) -> str:
    """A date in a table: ISO, with the hour for hours."""
    return f"{moment:%Y-%m-%d %H:%M}" if frequency.unit == "h" else f"{moment:%Y-%m-%d}"


def name(value: object, limit: int = NAME_LIMIT) -> str:
    """An item's or place's name for the page: one line, without control or direction-changing characters, cut when long.

    >>> name("a" * 60)[-6:], name("two\\nlines")
    ('aaa...', 'two lines')
    """
    text = str(value)[: 4 * limit]  # never walk through a 10,000-character name
    clean = plain(text)
    return shorten(clean.strip() if len(str(value)) <= 4 * limit else clean + "...", limit) or "(blank)"


def plain(text: str) -> str:
    """Any text on one line, without characters that command a reader's program: control, direction, half of a character.

    >>> plain("red\x1b[31m\ttea\u202e")
    'red[31m tea'
    """
    if text.isascii() and text.isprintable():
        return text
    kept = []
    for c in text:
        kind = unicodedata.category(c)
        if c.isspace() and kind != "Zs":
            kept.append(" ")
        elif c in JOINERS or (c not in "\ufffe\uffff" and kind not in ("Cc", "Cf", "Cs")):
            kept.append(c)
    return "".join(kept)
