"""Summaries as aligned tables for a terminal."""

from collections.abc import Mapping, Sequence
from typing import Any

from shelfcast.errors import printable, shorten


def print_backtest(summary: Mapping[str, Any]) -> None:
    """Models by measures, how steady they were, who won, and where the rest is."""
    count = summary["windows"]
    print(f"\nBacktest of {summary['scored']:,} of {summary['series']:,} series: {count} window{'s' * (count != 1)} of "
          f"{summary['horizon']} periods ({summary['frequency']}), cutoffs {summary['cutoffs'][0]} to {summary['cutoffs'][-1]}"
          f"{', each series counted back from its own end' if summary['own_ends'] else ''}\n")
    metrics = summary["metrics"]
    skilled = any(one["skill"] is not None for found in summary["models"].values() for one in found.values())
    head = ["model", *metrics, *(["skill"] if skilled else []), "spread", "seconds"]
    rows = []
    for model, found in summary["models"].items():
        first = found.get(metrics[0], {"mean": None, "spread": None, "skill": None})
        skill = [_share(first["skill"])] if skilled else []
        rows.append([shorten(model, 24), *(_number(found.get(m, {}).get("mean")) for m in metrics), *skill,
                     _number(first["spread"]), f"{summary['model_seconds'][model]:,.1f}"])
    _aligned([head, *rows])
    print(f"\n  {'skill and ' if skilled else ''}spread are those of {metrics[0]}"
          f"{': 1 - model / naive, and' if skilled else ':'} the standard deviation over windows")
    for model, why in summary["why"].items():
        if why != "asked for":
            print(f"  {model}: {printable(why.removeprefix(f'{model}: '))}")
    won = summary["won"]
    if won["model"] is not None:
        lead = "" if won["lead"] is None else f", {won['lead']:.1%} ahead of {won['second']}"
        print(f"  best by {won['metric']}: {won['model']} ({won['mean']:.4f}{lead}; best in {won['windows_won'][won['model']]} of "
              f"{won['of_windows']} windows)")
    for model, one in (summary.get("overrides") or {}).items():
        print(f"  overrides of {model}: {printable(one['says'])}")
    for note in summary["notes"]:
        print(f"  {note}")
    print(f"  run        {printable(str(summary['files']['run']))}")


def print_tuning(summary: Mapping[str, Any]) -> None:
    """The best settings beside the defaults, what mattered, and what to do next."""
    metric, counts = summary["metric"], summary["trials"]
    tried = ", ".join(f"{n:,} {state}" for state, n in counts.items() if n)
    print(f"\nTuned {summary['model']} on {summary['series']:,} series, horizon {summary['horizon']} ({summary['frequency']}), in "
          f"{summary['seconds']:,.0f} seconds: {tried}\n")
    rows = [[metric, "default", "best", "less"],
            ["windows chosen by", _number(summary["default"]), _number(summary["best"]), _share(summary["gain"])]]
    if summary["last"]:
        last = summary["last"]
        less = 1 - last["best"] / last["default"] if last["default"] > 0 else None
        rows.append([f"last window, after {summary['last_window']}", _number(last["default"]), _number(last["best"]), _share(less)])
    _aligned(rows)
    if summary["changed"]:
        changed = ", ".join(f"{k}={v}" for k, v in summary["changed"].items())
        print(f"\n  best       {printable(changed)} (others as by default)")
    else:
        print("\n  best       the defaults: nothing that was tried did better")
    if summary["importances"]:
        print("  mattered   " + ", ".join(f"{k} {v:.0%}" for k, v in list(summary["importances"].items())[:6]))
    for note in summary["notes"]:
        print(f"  {printable(note)}")
    for what, where in summary["files"].items():
        print(f"  {what:<10} {printable(str(where))}")
    print(f"\nNext: shelfcast fit SALES --model {summary['model']} --horizon {summary['horizon']} "
          f"--set @{printable(str(summary['files']['best']))} --run FOLDER")


def print_finetuning(summary: Mapping[str, Any]) -> None:
    """What was learned, before and after, and what to do next."""
    print(f"\nFine-tuned {printable(summary['weights'])}: {printable(summary['told'])}")
    for one in summary["sales"]:
        seen = "" if one["unseen"] else ", which early stopping has looked at"
        print(f"\n{printable(one['sales'])}, {one['series']:,} series, the {one['horizon']:,} periods ({one['frequency']}) after "
              f"{one['cutoff']}{seen}:")
        rows = [["measure", "zero-shot", one["kept"], "less"]]
        for name, pair in one["scores"].items():
            error = pair["before"] is not None and pair["before"] > 0 and not name.startswith("coverage")
            less = _share(1 - pair["after"] / pair["before"]) if error else "should be 0.8" if name.startswith("coverage") else "-"
            rows.append([name, _number(pair["before"]), _number(pair["after"]), less])
        _aligned(rows)
    print()
    for note in summary["notes"]:
        print(f"  {printable(note)}")
    for what, where in summary["files"].items():
        print(f"  {what:<10} {printable(str(where))}")
    run = printable(str(summary["files"]["run"]))
    model = run if len(summary["sales"]) == 1 else f"{run}/{printable(summary['sales'][0]['sales'])}"
    print(f"\nNext: shelfcast forecast SALES --model {model}")


def print_compression(summary: Mapping[str, Any]) -> None:
    """The weights before, and after each thing that was done to them."""
    rows = [["", "MB", "parameters", "forecasts/s", "faster", "loss", "more", "y <= q0.1", "q0.5", "q0.9"]]
    first = summary["table"][0]["loss"]
    rows += [[one["name"], f"{one['size'] / 1e6:,.2f}", f"{one['parameters']:,}", f"{one['speed']:,.0f}", f"{one['faster']:.2f} x",
              f"{one['loss']:.5f}", f"{one['loss'] / first - 1:+.2%}", *(f"{share:.3f}" for share in one["below"])]
             for one in summary["table"]]
    print()
    _aligned(rows)
    print("\n  forecasts/s are series a second of one core, by ONNX Runtime; faster, beside the first row timed in turn with it")
    print("  loss is pinball, each simulated retailer in a unit of its own; nothing was learned from them, and only ratios between "
          "rows mean something")
    print("  y <= q should be 0.1, 0.5 and 0.9")
    where = printable(str(summary["files"]["weights"]))
    print(f"  weights    {where}\n\nNext: shelfcast forecast SALES --model pretrained --set weights={where}")


def _aligned(rows: Sequence[Sequence[str]]) -> None:
    """The first column to the left, the others to the right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for name, *cells in rows:
        print("  ".join(["", name.ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(cells, widths[1:], strict=True))]))


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:,.4f}" if abs(value) < 1000 else f"{value:,.1f}"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"
