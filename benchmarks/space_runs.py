"""One run on a set: a model learns once, forecasts every window, and leaves its losses."""

from collections.abc import Mapping

import polars as pl

from shelfcast.evaluate.backtest import measure
from shelfcast.evaluate.contest import named_windows
from shelfcast.models.base import Forecaster
from shelfcast.names import LEVELS
from shelfcast.workflow.choosing import known_settings, make_forecaster
from space_sets import SpaceSet


def losses_of(one: SpaceSet, fitted: Forecaster, name: str) -> pl.DataFrame:
    """Losses of a fitted model in every window of a set: one row a window and series, as `contest_of` takes them."""
    parts = []
    for number, window in enumerate(one.windows()):
        found = measure(window, fitted, levels=LEVELS).losses
        cutoff = one.panel.frequency.date(window.past.cutoff)
        parts.append(found.with_columns(pl.lit(number).alias("window"), pl.lit(cutoff).alias("cutoff"),
                                        pl.lit(name).alias("model")))
    return named_windows(pl.concat(parts))


def fitted_on(one: SpaceSet, model: str, options: Mapping[str, object], *, seed: int = 0) -> Forecaster:
    """A registered model, fitted on what was known before the first window."""
    made, _ = make_forecaster(model, one.first, horizon=one.horizon, seed=seed, options=options)
    return made.fit(one.first)


def settings_from(words: str, model: str) -> dict[str, object]:
    """`name=value,name=value` as settings of a model, or of `auto`: whole numbers, numbers, true and false, else texts."""
    out: dict[str, object] = {}
    for word in filter(None, words.split(",")):
        key, _, value = word.partition("=")
        if key not in known_settings(model):
            raise SystemExit(f"The model {model!r} has no setting {key!r}; it has {', '.join(known_settings(model))}.")
        for kind in (int, float, lambda text: {"true": True, "false": False}.get(text, text)):
            try:
                out[key] = kind(value)
                break
            except ValueError:
                continue
    return out
