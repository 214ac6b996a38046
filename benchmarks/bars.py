"""Measure what an issue promised: `python benchmarks/bars.py spine [NAME ...]` prints a JSON line for each bar.

Each line is {"name", "value", "bar", "holds"}; `value` is measured now, never looked up. With names, only the bars whose name
begins with one of them are measured. Ends with exit code 1 when a bar does not hold.
"""

import json
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

Bar = tuple[str, str, float, Callable[[], Any]]
"""Name; `<=`, `>=`, `==`, `<` or `>`; the bar; a function that measures."""

HOLDS = {"<=": lambda value, bar: value <= bar, ">=": lambda value, bar: value >= bar, "==": lambda value, bar: value == bar,
         "<": lambda value, bar: value < bar, ">": lambda value, bar: value > bar}


def main(issue: str, wanted: list[str]) -> int:
    """Measure the bars of one issue."""
    known = sorted(p.stem.removeprefix("bars_") for p in Path(__file__).parent.glob("bars_*.py"))
    if issue not in known:
        print(f"No bars are kept for {issue!r}. Known: {', '.join(known)}.", file=sys.stderr)
        return 2
    bars: list[Bar] = import_module(f"bars_{issue}").BARS
    missed = 0
    for name, sense, bar, measure in bars:
        if wanted and not any(name.startswith(w) for w in wanted):
            continue
        try:
            value: Any = measure()
            holds = bool(HOLDS[sense](value, bar))
        except Exception as error:  # a bar that cannot be measured does not hold, and the others are still measured
            value, holds = f"{type(error).__name__}: {str(error)[-500:]}", False
        missed += not holds
        print(json.dumps({"name": name, "value": value, "bar": f"{sense} {bar:g}", "holds": holds}), flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "spine", sys.argv[2:]))
