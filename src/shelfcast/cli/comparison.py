"""How a comparison is printed on a terminal: the ranking, the claim, the pair by each measure, where it comes from."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from shelfcast.errors import printable, shorten

MOST_ROWS: Final = 6  # groups of a kind on the terminal; all are in --json and on the page
KINDS: Final = {"class": "by kind of demand", "location": "by place", "item": "by item", "step": "by step of the horizon"}


def print_comparison(summary: Mapping[str, Any]) -> None:
    """Print what `workflow.compare` summed up."""
    metric, share = summary["metric"], f"{summary['confidence']:.0%}"
    windows = len(summary["windows"])
    print(f"\n{summary['series']:,} series, {windows} window{'s' if windows > 1 else ''}, lower {metric} is better\n"
          if metric not in ("bias", "coverage") else f"\n{summary['series']:,} series, {windows} windows, by {metric}\n")
    rows = [["rank", "model", metric, f"{share} interval",
             f"skill over {shorten(summary['baseline'], 30)}", "interval", "p (Holm)"]]
    for one in summary["ranking"]:
        ranks = str(one["rank"]) if one["rank_low"] == one["rank_high"] else f"{one['rank']} ({one['rank_low']}-{one['rank_high']})"
        rows.append([ranks, shorten(one["model"], 40), _number(one["score"]), _between(one["low"], one["high"], _number),
                     _share(one["skill"]), _between(one["skill_low"], one["skill_high"], _share), _p(one["p"])])
    _print(rows)
    print(f"\n{printable(summary['verdict'])}\n")
    rows = [["measure", shorten(summary["a"], 24), shorten(summary["b"], 24), "skill", f"{share} interval", "p", "better"]]
    for one in summary["measures"]:
        by = one["skill"] or one["difference"]
        how = _share if one["skill"] else _signed
        rows.append([one["metric"], _number(one["score_a"]), _number(one["score_b"]), how(by["value"]),
                     _between(by["low"], by["high"], how), _p(by["p"]), shorten(one["winner"] or "not shown", 24)])
    _print(rows)
    wins, through = summary["win_rate"], summary["diebold_mariano"]
    print(f"\n{shorten(summary['a'], 40)} has the smaller loss on {wins['value']:.1%} of the series "
          f"({_between(wins['low'], wins['high'], _percent)}).")
    if through["p"] is not None and through["p"] == through["p"]:
        print(f"Through time alone, over {through['moments']} windows: Diebold-Mariano {through['statistic']:+.2f}, "
              f"p {_p(through['p'])}.")
    others = {g["kind"]: f"by {g['kind']}" for g in summary["groups"] if g["kind"] not in KINDS}
    for kind, said in (KINDS | others).items():
        _print_groups([g for g in summary["groups"] if g["kind"] == kind], said, metric)
    print()
    for sentence in summary["told"]:
        print(printable(sentence))
    for what, where in summary["files"].items():
        print(f"  {what:<10} {printable(str(where))}")


def _print_groups(groups: Sequence[Mapping[str, Any]], said: str, metric: str) -> None:
    if len(groups) < 2:
        return
    print(f"\n{said}, {'in order' if 'step' in said else 'the largest contribution first'}:")
    shown = groups if "step" in said else groups[:MOST_ROWS]
    ratio = any(g["skill"] is not None for g in shown)
    rows = [["", "series", f"{metric} a", f"{metric} b", "skill" if ratio else "difference", "interval", "units", "a is"]]
    for g in shown:
        low, high = ("skill_low", "skill_high") if ratio else ("low", "high")
        how = _share if ratio else _signed
        units = "-" if g["units"] is None else f"{g['units']:+,.0f}"
        rows.append([shorten(g["group"], 30), f"{g['series']:,}", _number(g["a"]), _number(g["b"]),
                     how(g["skill"] if ratio else g["difference"]), _between(g[low], g[high], how), units, g["verdict"]])
    _print(rows)
    if len(groups) > len(shown):
        print(f"  and {len(groups) - len(shown)} more in --json and --report")


def _print(rows: Sequence[Sequence[str]]) -> None:
    """Aligned columns: names to the left, numbers to the right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    words = [i for i in range(len(rows[0])) if not any(c.isdigit() for c in rows[-1][i])]
    for row in rows:
        print("  " + "  ".join(cell.ljust(w) if i in words or i < 1 or rows[0][i] == "model" else cell.rjust(w)
                               for i, (cell, w) in enumerate(zip(row, widths, strict=True))).rstrip())


def _known(value: float | None) -> bool:
    return value is not None and value == value


def _number(value: float | None) -> str:
    return f"{value:.4g}" if value is not None and _known(value) else "-"


def _signed(value: float | None) -> str:
    return f"{value:+.4f}" if value is not None and _known(value) else "-"


def _share(value: float | None) -> str:
    return f"{value:+.1%}" if value is not None and _known(value) else "-"


def _percent(value: float | None) -> str:
    return f"{value:.1%}" if value is not None and _known(value) else "-"


def _p(value: float | None) -> str:
    if value is None or not _known(value):
        return "-"
    return f"{value:.3f}" if value >= 0.001 else "<0.001"


def _between(low: float | None, high: float | None, how: Any) -> str:
    return f"{how(low)} to {how(high)}" if _known(low) and _known(high) else "-"
