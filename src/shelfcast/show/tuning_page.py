"""The page of a tuning: what was gained, what mattered, and every trial, as one HTML file."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from markupsafe import Markup

from shelfcast.evaluate.search import FEWEST_IMPORTANT, Found
from shelfcast.evaluate.study import Tried
from shelfcast.files import whole_file
from shelfcast.models.spaces import Choice, Dimension
from shelfcast.show import numerals
from shelfcast.show.backtest_charts import bar
from shelfcast.show.page import render_page
from shelfcast.show.tuning_charts import WORST, trials_chart

MOST_TRIALS: Final = 60  # rows of the table; trials.csv holds all
MOST_SLICED: Final = 5  # settings of which it is shown how each value did
_PARTS: Final = 3  # that the range of a number is cut into


def write_tuning(path: Path | str, found: Found, dimensions: Mapping[str, Dimension], *, title: str, model: str, metric: str,
                 facts: Mapping[str, str], command: str) -> None:
    """Write the page as one HTML file; whole or not at all.

    Parameters
    ----------
    dimensions : {setting: what it could be}
    title : what was tuned on
    facts : {what: how} of the run, for the end of the page
    command : that uses the best settings
    """
    text = render_tuning(found, dimensions, title=title, model=model, metric=metric, facts=facts, command=command)
    with whole_file(path) as out:
        out.write_text(text, encoding="utf-8")


def render_tuning(found: Found, dimensions: Mapping[str, Dimension], *, title: str, model: str, metric: str,
                  facts: Mapping[str, str], command: str) -> str:
    """The page as a text."""
    shown = sorted(found.trials, key=lambda t: (t.loss is None, t.loss or 0.0, t.ratio if t.ratio is not None else np.inf))
    values = {
        "title": numerals.name(title), "model": model, "metric": metric, "headline": headline(found, model=model, metric=metric),
        "chart": Markup(trials_chart(found.trials, identity="trials", title=f"Trials by when they ended: {metric} over that of the "
                                     f"defaults, and the best so far")),
        "settings": _settings(found, dimensions), "important": _important(found), "fewest": FEWEST_IMPORTANT,
        "worst": f"{WORST:g}", "slices": _slices(found, dimensions), "names": list(dimensions), "all": len(found.trials),
        "trials": [_row(t, dimensions) for t in shown[:MOST_TRIALS]], "notes": list(found.told), "command": command,
        "facts": [(numerals.plain(k), numerals.plain(v)) for k, v in facts.items()],
    }
    return render_page("tuning.html.j2", values, styles=["report.css", "comparison.css", "backtest.css"], scripts=["report.js"])


def headline(found: Found, *, model: str, metric: str) -> str:
    """What was gained, in two sentences."""
    default, best = found.default.loss, found.best.loss
    if found.best is found.default or default is None or best is None:
        return (f"Of {len(found.trials):,} settings of {model} that were tried none did better than the defaults, whose {metric} "
                f"is {numerals.quantity(default, 3)}.")
    said = (f"With the best settings found {model} has {numerals.percent(found.gain)} less {metric} than with the defaults: "
            f"{numerals.quantity(best, 3)} instead of {numerals.quantity(default, 3)}.")
    if found.last:
        less = found.last_gain
        how = f"{numerals.percent(abs(less))} {'less' if less >= 0 else 'more'}"
        said += f" In the last window, which nothing was chosen by, it has {how}."
    return said


def _settings(found: Found, dimensions: Mapping[str, Dimension]) -> list[dict[str, Any]]:
    """One row a setting: the default, the best, and what it could be."""
    default, best = found.default.options, found.best.options
    return [{"name": name, "default": _value(default[name]), "best": _value(best[name]), "changed": default[name] != best[name],
             "range": _range(one)} for name, one in dimensions.items()]


def _important(found: Found) -> list[dict[str, Any]]:
    most = max(found.importances.values(), default=1.0)
    return [{"name": name, "share": numerals.percent(share),
             "bar": Markup(bar(share, most, colour=0, title=f"{name}: {numerals.percent(share)}"))}
            for name, share in found.importances.items()]


def _slices(found: Found, dimensions: Mapping[str, Dimension]) -> list[dict[str, Any]]:
    """How the trials with each value of the settings that mattered did; ranges of numbers are cut into three."""
    told = [t for t in found.trials if t.ratio is not None and t.state in ("scored", "pruned")]
    out = []
    for name in list(found.importances)[:MOST_SLICED]:
        rows = []
        for label, within in _parts(dimensions[name], [t.options[name] for t in told]):
            ratios = [t.ratio for t in told if within(t.options[name]) and t.ratio is not None]
            if ratios:
                rows.append({"value": label, "trials": f"{len(ratios):,}", "best": _times(min(ratios)),
                             "middle": _times(float(np.median(ratios)))})
        out.append({"name": name, "rows": rows})
    return out


def _parts(one: Dimension, tried: Sequence[Any]) -> list[tuple[str, Callable[[Any], bool]]]:
    """(label, whether a value belongs to it) of a setting's values, or of the thirds of the values of a number that were tried."""
    if isinstance(one, Choice):
        return [(_value(v), lambda x, v=v: x == v and type(x) is type(v)) for v in one.values]  # type: ignore[misc]
    values = sorted(set(tried))
    if len(values) <= _PARTS + 1:
        return [(_value(v), lambda x, v=v: x == v) for v in values]  # type: ignore[misc]
    groups = [g for g in np.array_split(np.array(values), _PARTS) if len(g)]
    return [(f"{_value(g[0].item())} to {_value(g[-1].item())}", lambda x, g=g: g[0] <= x <= g[-1])  # type: ignore[misc]
            for g in groups]


def _row(trial: Tried, dimensions: Mapping[str, Dimension]) -> dict[str, Any]:
    return {"number": trial.number, "state": trial.state, "loss": numerals.quantity(trial.loss, 4), "times": _times(trial.ratio),
            "seconds": numerals.quantity(trial.seconds, 0), "why": trial.why,
            "values": [_value(trial.options[name]) for name in dimensions]}


def _times(ratio: float | None) -> str:
    return numerals.quantity(ratio, 3)


def _value(value: object) -> str:
    """A setting's value: what is not set is the model's own choice."""
    if value is None:
        return "by itself"
    return f"{value:.3g}" if isinstance(value, float) else f"{value:,}" if type(value) is int else str(value)


def _range(one: Dimension) -> str:
    if isinstance(one, Choice):
        return ", ".join(map(_value, one.values))
    return f"{_value(one.low)} to {_value(one.high)}"
