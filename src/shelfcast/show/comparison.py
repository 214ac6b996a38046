"""The page of a comparison: what may be claimed, and where it comes from, as one HTML file."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
from markupsafe import Markup

import shelfcast
from shelfcast.data.classes import CLASSES
from shelfcast.evaluate.compare import Comparison
from shelfcast.evaluate.compared_groups import series_ratios
from shelfcast.evaluate.pairs import Pair, verdict
from shelfcast.evaluate.resampling import Interval
from shelfcast.files import whole_file
from shelfcast.names import ITEM, LOCATION
from shelfcast.show import comparison_charts as charts
from shelfcast.show import numerals
from shelfcast.show.comparison_charts import Whisker
from shelfcast.show.page import render_page
from shelfcast.show.report import GROUPS

KINDS: Final = {"class": "By kind of demand", LOCATION: "By place", ITEM: "By item"}


def write_comparison(path: Path | str, found: Comparison, *, reliability: Mapping[str, pl.DataFrame], runs: Sequence[str]) -> None:
    """Write the page as one HTML file; whole or not at all.

    Parameters
    ----------
    reliability : {model of the pair: level, below, covered}; empty leaves the part out
    runs : names of the runs that were compared
    """
    text = render_comparison(found, reliability=reliability, runs=runs)
    with whole_file(path) as out:
        out.write_text(text, encoding="utf-8")


def render_comparison(found: Comparison, *, reliability: Mapping[str, pl.DataFrame], runs: Sequence[str]) -> str:
    """The page as a text."""
    head, count = found.headline, len(found.contest.windows)
    a, b = numerals.name(head.a), numerals.name(head.b)
    ratio = found.measure.has_skill
    steps = found.groups.filter(pl.col("kind") == "step")
    values = {
        "a": a, "b": b, "metric": found.measure.name, "by": "skill" if ratio else "difference", "verdict": verdict(head),
        "runs": ", ".join(numerals.name(run) for run in runs), "series": f"{found.contest.series.height:,}",
        "windows": f"{count} window{'s' if count > 1 else ''}", "confidence": numerals.percent(found.settings.confidence),
        "baseline": numerals.name(found.baseline), "head": _head(head), "wins": _wins(found), "through": _through(found),
        "windows_won": str(int((found.windows["difference"] < 0).sum())), "ranking": _ranking(found), "measures": _measures(found),
        "ratios": _ratios(found, a, b), "blocks": _blocks(found), "told": list(found.told), "facts": _facts(found),
        "steps": _chart(steps, "step", ratio, f"{_by(ratio)} of {a} over {b} by step of the horizon", "Step by step"),
        "by_window": _chart(found.windows, "window", ratio, f"{_by(ratio)} of {a} over {b} window by window", "After each cutoff"),
        "reliable": _reliable(reliability, [head.a, head.b], a, b),
    }
    return render_page("comparison.html.j2", values, styles=["report.css", "comparison.css"], scripts=["report.js"])


def _by(ratio: bool) -> str:
    return "Skill" if ratio else "Difference"


def _between(low: float | None, high: float | None, *, share: bool) -> str:
    if low is None or high is None or not (math.isfinite(low) and math.isfinite(high)):
        return numerals.UNKNOWN
    return f"{_value(low, share=share)} to {_value(high, share=share)}"


def _value(value: float | None, *, share: bool) -> str:
    return numerals.percent(value, signed=True) if share else numerals.UNKNOWN if value is None else f"{value:+.4f}"


def _score(value: float | None) -> str:
    if value is None or not math.isfinite(value):
        return numerals.UNKNOWN
    return numerals.quantity(value, 4 if abs(value) < 10 else 1)


def _p(value: float | None) -> str:
    if value is None or not math.isfinite(value):
        return numerals.UNKNOWN
    return f"{value:.3f}" if value >= 0.001 else "< 0.001"


def _whisker(label: str, interval: Interval, *, turned: bool = False) -> Whisker:
    """An interval to draw, better to the right; `turned` where less is better."""
    sign = -1 if turned else 1
    low, high = (interval.high, interval.low) if turned else (interval.low, interval.high)
    known = math.isfinite(interval.low) and math.isfinite(interval.high)
    return Whisker(label, sign * interval.value, sign * low if known else None, sign * high if known else None)


def _head(head: Pair) -> dict[str, Any]:
    share = head.deciding is head.skill
    whisker = _whisker(head.measure, head.deciding, turned=not share)
    bar = charts.interval_bar(whisker, charts.shared_scale([whisker]), identity="head")
    return {"value": _value(head.deciding.value, share=share), "bar": Markup(bar), "score_a": _score(head.score_a),
            "between": _between(head.deciding.low, head.deciding.high, share=share), "score_b": _score(head.score_b)}


def _wins(found: Comparison) -> dict[str, str]:
    value, low, high = (numerals.percent(0.5 + v) for v in (found.wins.value, found.wins.low, found.wins.high))
    return {"value": value, "between": f"interval {low} to {high}" if math.isfinite(found.wins.low) else "without an interval"}


def _through(found: Comparison) -> dict[str, str]:
    test = found.through_time
    if not math.isfinite(test.p):
        return {"p": numerals.UNKNOWN, "said": f"{test.moments} windows are too few for a test over time, or all alike."}
    return {"p": f"p {_p(test.p)}", "said": f"Diebold-Mariano test over {test.moments} windows, statistic {test.statistic:+.2f}."}


def _ranking(found: Comparison) -> list[dict[str, Any]]:
    rows = list(found.ranking.iter_rows(named=True))
    nothing = float("nan")
    whiskers = [Whisker(r["model"], nothing if r["skill"] is None else r["skill"], r["skill_low"], r["skill_high"]) for r in rows]
    scale = charts.shared_scale(whiskers)
    return [{"model": numerals.name(r["model"]), "score": _score(r["score"]), "p": _p(r["p"]),
             "first": numerals.percent(r["first"]),
             "between": f"{_score(r['low'])} to {_score(r['high'])}" if math.isfinite(r["low"]) else numerals.UNKNOWN,
             "rank": f"{r['rank']} ({r['rank_low']} to {r['rank_high']})" if r["rank_low"] < r["rank_high"] else r["rank"],
             "bar": Markup(charts.interval_bar(w, scale, identity=f"rank-{i}")), "skill": _value(r["skill"], share=True),
             "skill_between": _between(r["skill_low"], r["skill_high"], share=True)}
            for i, (r, w) in enumerate(zip(rows, whiskers, strict=True))]


def _measures(found: Comparison) -> list[dict[str, Any]]:
    with_skill = {p.measure: _whisker(p.measure, p.skill) for p in found.measures if p.skill is not None}
    scale = charts.shared_scale(list(with_skill.values()))
    rows = []
    for pair in found.measures:
        share = pair.deciding is pair.skill
        bar = charts.interval_bar(with_skill[pair.measure], scale, identity=f"by-{pair.measure}") if pair.skill is not None else ""
        rows.append({"name": pair.measure, "score_a": _score(pair.score_a), "score_b": _score(pair.score_b), "bar": Markup(bar),
                     "value": _value(pair.deciding.value, share=share), "p": _p(pair.deciding.p),
                     "between": _between(pair.deciding.low, pair.deciding.high, share=share),
                     "winner": numerals.name(pair.winner) if pair.winner else "not shown"})
    return rows


def _ratios(found: Comparison, a: str, b: str) -> dict[str, Any] | None:
    if not found.measure.has_skill:
        return None
    table = series_ratios(found.contest, found.measure, found.pair)
    present = set(table["class"])
    names = [c for c in CLASSES if c in present] + sorted(present - set(CLASSES))
    values = np.nan_to_num(table["ratio"].to_numpy(), posinf=charts.RATIO_EDGE, neginf=-charts.RATIO_EDGE)
    won, lost = int((values < 0).sum()), int((values > 0).sum())
    drawn, _ = charts.ratio_histogram(values, table["class"].to_list(), names, identity="ratios",
                                      title=f"{a} has the smaller loss on {won:,} series, {b} on {lost:,}")
    rows = []
    for name in names:
        mine = values[(table["class"] == name).to_numpy()]
        rows.append({"name": GROUPS.get(name, numerals.name(name)), "series": f"{len(mine):,}", "won": f"{int((mine < 0).sum()):,}",
                     "alike": f"{int((mine == 0).sum()):,}", "lost": f"{int((mine > 0).sum()):,}",
                     "middle": numerals.quantity(float(2 ** np.median(mine)), 3)})
    return {"svg": Markup(drawn), "classes": [numerals.name(name) for name in names], "rows": rows}


def _blocks(found: Comparison) -> list[dict[str, Any]]:
    out = []
    others = {kind: f"By {numerals.name(kind)}" for kind in found.groups["kind"].unique(maintain_order=True)
              if kind not in KINDS and kind != "step"}
    for kind, title in (KINDS | others).items():
        part = found.groups.filter(pl.col("kind") == kind)
        if part.height:
            out.append(_block(part, title, kind, found.measure.has_skill))
    return out


def _block(part: pl.DataFrame, title: str, kind: str, ratio: bool) -> dict[str, Any]:
    whiskers = _whiskers(part, ratio)
    scale = charts.shared_scale(whiskers)
    known = GROUPS if kind == "class" else {}
    low, high = ("skill_low", "skill_high") if ratio else ("low", "high")
    rows = [{"name": known.get(r["group"], numerals.name(r["group"])), "series": f"{r['series']:,}",
             "bar": Markup(charts.interval_bar(w, scale, identity=f"{kind.replace(':', '-')}-{i}")),
             "value": _value(r["skill"] if ratio else r["difference"], share=ratio),
             "between": _between(r[low], r[high], share=ratio), "score_a": _score(r["a"]), "score_b": _score(r["b"]),
             "units": ("+" if (r["units"] or 0) > 0 else "") + numerals.quantity(r["units"], 0), "verdict": r["verdict"]}
            for i, (r, w) in enumerate(zip(part.iter_rows(named=True), whiskers, strict=True))]
    return {"title": title, "rows": rows}


def _whiskers(part: pl.DataFrame, ratio: bool) -> list[Whisker]:
    """Groups to draw, better upwards: skill, or the difference turned."""
    out = []
    for r in part.iter_rows(named=True):
        value, low, high = ((r["skill"], r["skill_low"], r["skill_high"]) if ratio else
                            (-r["difference"], *((None, None) if r["low"] is None else (-r["high"], -r["low"]))))
        out.append(Whisker(r["group"], float("nan") if value is None else value, low, high))
    return out


def _chart(part: pl.DataFrame, kind: str, ratio: bool, title: str, head: str) -> dict[str, Any] | None:
    if not part.height:
        return None
    drawn = charts.whisker_chart(_whiskers(part, ratio), identity=f"{kind}-chart", title=title)
    return {"svg": Markup(drawn), "block": _block(part, head, kind, ratio)}


def _reliable(reliability: Mapping[str, pl.DataFrame], names: Sequence[str], a: str, b: str) -> dict[str, Any] | None:
    if any(name not in reliability or not reliability[name].height for name in names):
        return None
    one, two = (reliability[name] for name in names)
    both = one.join(two, on="level", suffix="_b").sort("level")
    if not both.height:
        return None
    shares = [(both["below"].to_numpy(), both["covered"].to_numpy()), (both["below_b"].to_numpy(), both["covered_b"].to_numpy())]
    drawn = charts.reliability_chart(both["level"].to_list(), shares, identity="reliable",
                                     title=f"Share of truths under each quantile less its level, {a} and {b}")
    rows = [[f"{level:g}", *(numerals.percent(float(share[i])) for pair in shares for share in pair)]
            for i, level in enumerate(both["level"])]
    return {"svg": Markup(drawn), "rows": rows}


def _facts(found: Comparison) -> list[tuple[str, str]]:
    settings = found.settings
    return [("shelfcast", shelfcast.__version__), ("drawn anew", found.by), ("replicates", f"{settings.replicates:,}"),
            ("interval", f"{settings.method}, {settings.confidence:.0%}"), ("seed", str(settings.seed)),
            ("windows drawn together", str(settings.block)), ("windows", ", ".join(found.contest.windows))]
