"""The report: one HTML file that needs no network, no installation and no script to be read.

Every text from the data goes through the template's escaping; the page's policy (a content security policy with the hashes of
its one style sheet and one script) forbids loading anything and running anything else.
"""

import base64
import hashlib
import math
from dataclasses import replace
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import polars as pl
from jinja2 import DictLoader, Environment, StrictUndefined
from markupsafe import Markup

from shelfcast.files import whole_file
from shelfcast.names import DATE, LOCATION, SALES, quantile_column
from shelfcast.show import charts, numerals, story
from shelfcast.show.content import Fan, ReportContent
from shelfcast.show.map import place_map
from shelfcast.show.totals import range_levels

METRICS = (("wape", "Error", "percent"), ("bias", "Bias", "signed"), ("mase", "MASE", "number"), ("sql", "SQL", "number"),
           ("coverage", "In range", "percent"))
KINDS = {"all": "Overall", "class": "By kind of demand", LOCATION: "By place, the largest first"}
GROUPS = {"all": "everything", "smooth": "smooth: sells nearly always, similar amounts",
          "erratic": "erratic: sells nearly always, varying amounts",
          "intermittent": "intermittent: sells now and then, similar amounts",
          "lumpy": "lumpy: sells now and then, varying amounts", "new": "new: too young to say"}
MOST_PLACE_ROWS = 300  # of the table beside the map, which draws more; each point of it says its numbers, too


def write_report(path: Path | str, content: ReportContent) -> None:
    """Write the report as one HTML file; whole or not at all."""
    text = render(content)
    with whole_file(path) as out:
        out.write_text(text, encoding="utf-8")


def render(content: ReportContent) -> str:
    """The report as a text."""
    about = content.about
    content = replace(content, about=replace(about, title=numerals.plain(about.title), source=numerals.plain(about.source),
                                             unit=numerals.name(about.unit)))
    style, script = _asset("report.css"), _asset("report.js")
    template = _environment().get_template("report.html.j2")
    return template.render(
        c=content, n=numerals, story=story, style=Markup(style), script=Markup(script), style_hash=_hash(style),
        script_hash=_hash(script), range=_range(content), total=_fan(content.total, content, "total", 360),
        chosen=[_fan(fan, content, f"series-{i}", 320) for i, fan in enumerate(content.chosen)],
        cards=_cards(content), attention=story.attention(content), accuracy=_accuracy(content), map=_map(content),
        findings=list(content.findings.iter_rows(named=True)), changes=list(content.changes.iter_rows(named=True)),
        withdrawn=list(content.withdrawn.iter_rows(named=True)), gone=int(content.withdrawn["series"].sum() or 0),
        withdrawn_first=list(content.withdrawn_first.iter_rows(named=True)),
        moves=[_moves(content.locations, "Places"), _moves(content.items, "Items")])


@cache
def _asset(name: str) -> str:
    return files("shelfcast.show").joinpath("assets", name).read_text(encoding="utf-8")


@cache
def _environment() -> Environment:
    source = files("shelfcast.show").joinpath("templates", "report.html.j2").read_text(encoding="utf-8")
    return Environment(loader=DictLoader({"report.html.j2": source}), autoescape=True, undefined=StrictUndefined,
                       finalize=_harmless, trim_blocks=True, lstrip_blocks=True)


def _harmless(value: Any) -> Any:
    """Texts from the data command nothing: neither the browser (escaped by the template) nor the direction of what follows."""
    return numerals.plain(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _range(content: ReportContent) -> dict[str, str]:
    low, high = range_levels(content.levels)
    return {"share": numerals.percent(high - low).replace(".0", ""), "low": quantile_column(low), "high": quantile_column(high)}


def _fan(fan: Fan, content: ReportContent, identity: str, height: int) -> dict[str, Any]:
    """A chart and the table that holds the same numbers; the table is what the pointer reads, too."""
    low, high = map(quantile_column, range_levels(content.levels))
    shown = [fan.forecast["mean"], fan.forecast[low], fan.forecast[high], fan.history[SALES].drop_nulls()]
    decimals = numerals.decimals_for([float(v) for column in shown for v in column])
    ghost = dict(fan.ghost.iter_rows()) if fan.ghost.height else {}

    def number(value: float | None) -> str:
        return numerals.quantity(value, decimals)

    past = [(numerals.stamp(row[DATE], content.frequency), number(row[SALES]), number(ghost.get(row[DATE])),
             " ".join(label for mark, label in (("closed", "closed"), ("promo", "promotion"), ("sold_out", "sold out"))
                      if row.get(mark)))
            for row in fan.history.iter_rows(named=True)]
    future = [(numerals.stamp(row[DATE], content.frequency), number(row["mean"]), number(row[low]), number(row[high]),
               number(ghost.get(row[DATE]))) for row in fan.forecast.iter_rows(named=True)]
    marks = [mark for mark in ("closed", "promo", "sold_out") if mark in fan.history.columns and fan.history[mark].any()]
    drawn = charts.bands(content.levels)
    return {"identity": identity, "name": fan.name, "why": fan.why, "past": past, "future": future, "marks": marks,
            "ghost": bool(ghost), "expected": number(float(fan.forecast["mean"].sum())),
            "bands": [numerals.percent(high - low).replace(".0", "") for low, high in drawn],
            "svg": Markup(charts.fan_chart(fan, content.frequency, identity=identity, unit=content.about.unit, height=height)),
            "overview": Markup(charts.overview_chart(fan, content.frequency, identity=identity))}


def _cards(content: ReportContent) -> dict[str, Any]:
    """The few numbers above everything else."""
    marks = [(s.name, s.units) for s in content.stretches]
    title = (f"Expected {numerals.quantity(content.expected)} {content.about.unit}, between {numerals.quantity(content.low)} and "
             f"{numerals.quantity(content.high)}")
    compared = []
    for s in content.stretches:
        after, before = (content.expected, s.units) if s.alike else (s.alike_next, s.alike_units)
        share = after / before - 1 if before > 0 else float("nan")
        compared.append({"name": s.name, "change": numerals.change(share), "up": share > 0, "level": abs(share) < story.LITTLE,
                         "units": numerals.quantity(s.units), "note": story.alike_note(s)})
    ours, naive = story.overall(content.accuracy, "wape")
    drawn = charts.range_chart(content.low, content.expected, content.high, marks=marks, identity="range", title=title)
    return {"range": Markup(drawn), "compared": compared, "ours": ours, "naive": naive}


def _moves(table: pl.DataFrame, title: str) -> dict[str, Any]:
    """What grows, what falls, and what is new or back, as texts."""
    rows = []
    for r in table.filter(pl.col("mark").is_null()).iter_rows(named=True):
        move = r["next"] - r["before"]
        rows.append({"name": r["name"], "next": _units(r["next"]), "move": ("+" if move > 0 else "") + _units(move), "up": move > 0,
                     "change": numerals.change(move / r["before"]) if r["before"] > 0 else "from nothing"})
    others = [{"name": r["name"], "next": _units(r["next"]), "mark": r["mark"]}
              for r in table.filter(pl.col("mark").is_not_null()).iter_rows(named=True)]
    return {"title": title, "up": [r for r in rows if r["up"]], "down": [r for r in rows if not r["up"]][::-1], "others": others}


def _units(value: float) -> str:
    return numerals.quantity(value, 0 if abs(value) >= 10 else None)


def _map(content: ReportContent) -> dict[str, Any] | None:
    if not content.places.height:
        return None
    drawn = place_map(content.places, unit=content.about.unit)
    rows = [{"name": r["name"], "next": numerals.quantity(r["next"]), "alike": numerals.quantity(r["alike"]),
             "before": numerals.quantity(r["before"]),
             "change": numerals.change(r["alike"] / r["before"] - 1) if r["before"] else r["mark"] or numerals.UNKNOWN}
            for r in content.places.head(MOST_PLACE_ROWS).iter_rows(named=True)]
    return {"svg": Markup(drawn.svg), "shown": drawn.shown, "outside": drawn.outside, "compared": drawn.compared, "rows": rows}


def _accuracy(content: ReportContent) -> list[dict[str, Any]]:
    """One block a kind of group (all, demand class, place), each row ours beside the naive forecast."""
    scores = content.accuracy
    if not scores.height:
        return []
    most = max((v for v in scores.filter(pl.col("metric") == "wape")["value"] if v is not None and math.isfinite(v)), default=1.0)
    blocks: list[dict[str, Any]] = []
    for (kind,), part in scores.group_by("kind", maintain_order=True):
        rows: list[dict[str, Any]] = []
        for (group,), mine in part.group_by("group", maintain_order=True):
            values = {(r["model"], r["metric"]): r["value"] for r in mine.iter_rows(named=True)}
            ours, naive = values.get(("ours", "wape")), values.get(("naive", "wape"))
            name = GROUPS.get(group, group) if kind in ("all", "class") else group
            title = f"{name}: error {numerals.percent(ours)} of sales, naive forecast {numerals.percent(naive)}"
            bar = charts.pair_bar(_or_nan(ours), _or_nan(naive), most=most, identity=f"acc-{len(blocks)}-{len(rows)}", title=title)
            cells = [_score(values.get((who, metric)), how) for metric, _, how in METRICS for who in ("ours", "naive")]
            rows.append({"name": name, "series": mine["series"].max(), "bar": Markup(bar), "cells": cells})
        title = KINDS.get(str(kind), str(kind))
        if kind == LOCATION and content.scored_places > len(rows):
            title += f": the {len(rows)} largest of {content.scored_places:,}"
        blocks.append({"title": title, "rows": rows})
    return blocks


def _or_nan(value: float | None) -> float:
    return float("nan") if value is None else value


def _score(value: float | None, how: str) -> str:
    if value is None:
        return numerals.UNKNOWN
    if how == "number":
        return numerals.quantity(value, 3)
    return numerals.percent(value, signed=how == "signed")
