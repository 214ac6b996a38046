"""From numbers to sentences: what is coming, how sure, where, and what needs attention."""

from dataclasses import dataclass
from typing import Any

import polars as pl

from shelfcast.show import numerals
from shelfcast.show.content import ReportContent, Stretch

LITTLE = 0.005  # changes below half a percent are "about the same": they round to nothing in a headline


@dataclass(frozen=True)
class Attention:
    """One thing that needs a person: how serious, the sentence, and the section that tells more."""

    severity: str
    sentence: str
    section: str


def headline(content: ReportContent) -> str:
    """What is coming, in one sentence."""
    first, last = content.total.forecast["date"][0], content.total.forecast["date"][-1]
    when = (f"From {numerals.span(first, last, content.frequency)}" if first != last
            else f"In the {content.frequency.noun} of {numerals.day(first, content.frequency)}")
    told = f"{when} we expect {numerals.rounded(content.expected)} {content.about.unit}"
    if not content.stretches:
        return f"{told}."
    return f"{told}, {against(content.expected, content.stretches[0])}."


def against(expected: float, stretch: Stretch) -> str:
    """`3.2 % more than the same 48 days last year`; like for like where series came or went."""
    after, before = (expected, stretch.units) if stretch.alike else (stretch.alike_next, stretch.alike_units)
    if before <= 0:
        return f"after nothing in {stretch.name}"
    share = after / before - 1
    what = "like for like " if not stretch.alike else ""
    if abs(share) < LITTLE:
        return f"{what}about as many as in {stretch.name}"
    size = numerals.percent(abs(share)) if share <= 9.995 else "over ten times"
    return f"{what}{size} {'more' if share > 0 else 'fewer'} than in {stretch.name}" if share <= 9.995 else f"{size} {stretch.name}"


def alike_note(stretch: Stretch) -> str:
    """Why a comparison is made over some series alone; empty where it is not."""
    if stretch.alike:
        return ""
    missing = stretch.of - stretch.series
    after, before = numerals.quantity(stretch.alike_next), numerals.quantity(stretch.alike_units)
    who = f"{missing:,} of {stretch.of:,} series {'has' if missing == 1 else 'have'} no record of at least half of {stretch.name}"
    return f"{who}; like for like, over the {stretch.series:,} others, {after} are expected after {before}."


def sure(content: ReportContent) -> str:
    """How sure, in one sentence."""
    share = (content.high - content.low) / 2 / content.expected if content.expected > 0 else float("nan")
    return (f"With 80{numerals.THIN}% probability between {numerals.rounded(content.low)} and {numerals.rounded(content.high)}"
            + (f", that is within about {numerals.percent(share)} of the middle." if share == share else "."))


def accuracy(content: ReportContent) -> str:
    """How well the model did where the answer is known; empty without a back-test."""
    ours, naive = overall(content.accuracy, "wape")
    if ours is None:
        return ""
    told = (f"Tried on the last {numerals.periods(content.horizon, content.frequency)} of history, it was wrong by "
            f"{numerals.percent(ours)} of sales")
    if naive is None:
        return f"{told}."
    better = 1 - ours / naive if naive > 0 else float("nan")
    verdict = (f", {numerals.percent(better)} less than" if better > 0 else f", {numerals.percent(-better)} more than")
    return f"{told}{verdict} the naive forecast ({numerals.percent(naive)})."


def overall(scores: pl.DataFrame, metric: str) -> tuple[float | None, float | None]:
    """(ours, naive's) value of a metric over everything."""
    if not scores.height:
        return None, None
    rows = scores.filter((pl.col("kind") == "all") & (pl.col("metric") == metric))
    ours = rows.filter(pl.col("model") == "ours")["value"]
    naive = rows.filter(pl.col("model") == "naive")["value"]
    # A measure that has no value (nothing was sold in the window) is null.
    return (ours[0] if len(ours) else None), (naive[0] if len(naive) else None)


def attention(content: ReportContent) -> list[Attention]:
    """What needs a person, most serious first, at most eight."""
    grave = [row for row in content.findings.iter_rows(named=True) if (row["severity"] or "").lower() in ("error", "warning")]
    grave.sort(key=lambda row: (row["severity"].lower() != "error", -(row["money"] or 0.0)))
    found = [Attention(row["severity"].lower(), _told(row), "findings") for row in grave]
    gone = int(content.withdrawn["series"].sum() or 0)
    if gone:
        found.append(Attention("note", f"{gone:,} series {'is' if gone == 1 else 'are'} judged withdrawn and "
                                       f"{'has' if gone == 1 else 'have'} no forecast.", "withdrawn"))
    ours, naive = overall(content.accuracy, "wape")
    if ours is not None and naive is not None and ours > naive:
        errors = sum(one.severity == "error" for one in found)
        told = f"{numerals.percent(ours)} against {numerals.percent(naive)} of sales"
        found.insert(errors, Attention("warning", f"The forecast is less accurate than the naive one ({told}).", "accuracy"))
    for stretch in content.stretches[:1]:
        if not stretch.alike:
            found.append(Attention("note", alike_note(stretch), "total"))
    return found[:8]


def _told(row: dict[str, Any]) -> str:
    """A finding in a sentence, with what is at stake and where it shows first."""
    sentence = row["sentence"] or row["kind"]
    money = f"; {numerals.quantity(row['money'])} in money at stake" if row["money"] else ""
    return f"{sentence}{money}; first: {numerals.name(row['first'], 120)}" if row["first"] else f"{sentence}{money}"
