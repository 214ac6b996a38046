"""Did the planners' overrides help? The value added to a model's forecast, by who, why, kind, direction and size.

Forecast value added (Gilliland 2010, The Business Forecasting Deal): the error of the forecast before and after a step of the
process, here the planner's. Fildes, Goodwin, Lawrence and Nikolopoulos (2009, International Journal of Forecasting 25) found in
60,000 adjustments that large ones and those downwards help, small ones and those upwards do not; so direction and size are
reported apart.

Errors are of the median, as WAPE measures them; losses are of the whole distribution, as WQL does; bias is of the mean.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import polars as pl

from shelfcast.adjust.override_table import texts
from shelfcast.errors import DataError
from shelfcast.evaluate.metrics import pinball_losses
from shelfcast.evaluate.resampling import paired_skill
from shelfcast.forecast import Forecast
from shelfcast.names import DATE, KEYS

BY: Final = ("all", "who", "why", "kind", "direction", "size")
SIZES: Final = ("under 10 %", "10 to 30 %", "30 to 100 %", "over 100 %")
DRAWS: Final = 1000
FEWEST: Final = 6  # clusters below which an interval would be a guess
_MOST_CLUSTERS: Final = 4_000  # more are put together at random into so many: the interval stays the same, and memory small
_MOST_GROUPS: Final = 25  # reasons are free texts; those that moved least are put together
_JUDGED: Final = ("error before", "error after", "loss before", "loss after")


def judge_moves(model: Forecast, overridden: Forecast, ledger: pl.DataFrame, *, actual: np.ndarray) -> pl.DataFrame:
    """The ledger with what was sold and the errors before and after; periods whose sales are not known are left out.

    Parameters
    ----------
    model, overridden : the same series, periods and levels
    ledger : of `apply`; it may hold other series and periods too, which are left out
    actual : float (N, H), units; nan where not known

    Returns
    -------
    The ledger's columns and `cutoff`, `actual`, `error before`, `error after` (units, of the median), `loss before`, `loss after`
    (units, mean over the deciles of twice the pinball loss)
    """
    if not (model.series.select(KEYS).equals(overridden.series.select(KEYS)) and model.levels == overridden.levels
            and model.mean.shape == overridden.mean.shape == actual.shape and model.cutoff == overridden.cutoff):
        raise DataError("The forecasts before and after the overrides, and what was sold, have other series, periods or levels.")
    at = _positions(model, ledger)
    kept = at.filter(pl.col("row").is_not_null() & pl.col("step").is_between(0, model.horizon - 1))
    rows, steps = kept["row"].to_numpy(), kept["step"].to_numpy()
    sold = actual[rows, steps].astype(float)
    scores = {"actual": sold}
    for word, forecast in (("before", model), ("after", overridden)):
        quantiles = forecast.quantiles[rows, steps][:, None, :]  # (K, 1, Q)
        middle = forecast.at(0.5) if 0.5 in forecast.levels else forecast.mean
        deciles = [i for i, q in enumerate(forecast.levels) if abs(10 * q - round(10 * q)) < 1e-9]
        deciles = deciles or list(range(len(forecast.levels)))
        losses = pinball_losses(sold[:, None], quantiles[:, :, deciles], np.array(forecast.levels)[deciles])
        scores |= {f"error {word}": np.abs(sold - middle[rows, steps]), f"loss {word}": 2 * losses.mean(axis=(1, 2))}
    cutoff = pl.lit(model.frequency.date(model.cutoff)).alias("cutoff")
    judged = ledger[kept["at"].to_numpy()].with_columns(cutoff, *(pl.Series(k, v) for k, v in scores.items()))
    return judged.filter(pl.col("actual").is_not_nan())


def value_added(judged: pl.DataFrame | Sequence[pl.DataFrame], *, by: Sequence[str] = BY, seed: int = 0) -> pl.DataFrame:
    """Forecast value added of overrides, of one or many windows.

    Parameters
    ----------
    judged : what `judge_moves` gave, one table or one for each window
    by : any of `all`, `who`, `why`, `kind`, `direction` (up, down, same), `size` (of the move, as a part of the model's mean)
    seed : of the bootstrap

    Returns
    -------
    One row a group, those that moved most first: `by`, `group`, `overrides`, `series`, `periods`, `moved` (units, sum |after -
    before|), `error before`, `error after` (units), `value added` (1 - after / before; positive is better), `low`, `high` (95 %,
    paired bootstrap), `resampled` (what was drawn: overrides or series, whichever are fewer, for what shares an author's one
    judgement or a series' one history is no independent evidence; null bounds where both are fewer than 6), `loss before`, `loss
    after`, `bias before`, `bias after` (sum (mean - sales) / sum |sales|), `nearer` (share of periods that came nearer, half for
    ties)
    """
    tables = [judged] if isinstance(judged, pl.DataFrame) else list(judged)
    kept = [t for t in tables if t.height]
    if not kept:
        return pl.DataFrame(schema=_SCHEMA)
    table = pl.concat(kept, how="vertical_relaxed").with_columns(_group_columns())
    table = table.with_columns(pl.struct("override", "cutoff").rank("dense").alias("decision"),
                               pl.struct(*KEYS).rank("dense").alias("line"))
    out = []
    for way in by:
        labelled = table.with_columns(_largest(table, way).alias("group"))
        sums = labelled.group_by("group").agg(_measures())
        bounds = [_interval(part, seed) for part in labelled.sort("group").partition_by("group", maintain_order=True)]
        found = pl.DataFrame(bounds, schema={"low": pl.Float64, "high": pl.Float64, "resampled": pl.String}, orient="row")
        out.append(pl.concat([sums.sort("group"), found], how="horizontal").sort("moved", "group", descending=[True, False])
                   .select(pl.lit(way).alias("by"), pl.exclude("by")))
    return pl.concat(out).select(*_SCHEMA)


def in_words(added: pl.DataFrame) -> str:
    """One sentence on the whole: what the overrides did to the error, and whether that is sure."""
    whole = added.filter(pl.col("by") == "all")
    if not whole.height:
        return "No override fell into a period whose sales are known, so none was measured."
    one = whole.row(0, named=True)
    share = one["value added"] or 0.0
    did = "left the error as it was" if not share else f"made the error {abs(share):.1%} {'smaller' if share > 0 else 'larger'}"
    if one["low"] is None:
        sure = "too few to say whether that is chance"
    else:
        chance = "may be chance" if one["low"] <= 0 <= one["high"] else "not by chance"
        sure = f"value added {share:.1%}, 95 % interval {one['low']:.1%} to {one['high']:.1%}: {chance}"
    return (f"{one['overrides']:,} overrides moved {one['moved']:,.0f} units in {one['periods']:,} periods of {one['series']:,} "
            f"series and {did} ({sure}).")


_SCHEMA: Final = {
    "by": pl.String, "group": pl.String, "overrides": pl.UInt32, "series": pl.UInt32, "periods": pl.UInt32, "moved": pl.Float64,
    "error before": pl.Float64, "error after": pl.Float64, "value added": pl.Float64, "low": pl.Float64, "high": pl.Float64,
    "resampled": pl.String, "loss before": pl.Float64, "loss after": pl.Float64, "bias before": pl.Float64,
    "bias after": pl.Float64, "nearer": pl.Float64,
}


def _positions(forecast: Forecast, ledger: pl.DataFrame) -> pl.DataFrame:
    """For each row of the ledger `at`, its series' position `row` (null when it is not forecast) and its `step`."""
    step = forecast.frequency.number_of(pl.col(DATE)).cast(pl.Int64) - forecast.cutoff - 1
    # As texts: a ledger that was kept as CSV has forgotten whether its names were numbers.
    here = forecast.series.select(texts(forecast.series[k]) for k in KEYS).with_row_index("row")
    there = ledger.select(*(texts(ledger[k]) for k in KEYS), step.alias("step")).with_row_index("at")
    return there.join(here, on=KEYS, how="left", maintain_order="left")


def _group_columns() -> list[pl.Expr]:
    move = pl.col("after") - pl.col("before")
    part = pl.when(pl.col("before") > 0).then(move.abs() / pl.col("before")).otherwise(float("inf"))
    direction = pl.when(move > 0).then(pl.lit("up")).when(move < 0).then(pl.lit("down")).otherwise(pl.lit("same"))
    size = (pl.when(part < 0.1).then(pl.lit(SIZES[0])).when(part < 0.3).then(pl.lit(SIZES[1]))
            .when(part <= 1.0).then(pl.lit(SIZES[2])).otherwise(pl.lit(SIZES[3])))
    return [pl.lit("all").alias("all"), direction.alias("direction"), size.alias("size"), move.abs().alias("move")]


def _largest(table: pl.DataFrame, way: str) -> pl.Series:
    """The groups' names; beyond the 25 that moved most, `others`."""
    moved = table.group_by(way).agg(pl.col("move").sum()).sort("move", way, descending=[True, False])
    if moved.height <= _MOST_GROUPS:
        return table[way]
    return table.select(pl.when(pl.col(way).is_in(moved[way].head(_MOST_GROUPS - 1).implode())).then(pl.col(way))
                        .otherwise(pl.lit("others"))).to_series()


def _measures() -> list[pl.Expr]:
    before, after = pl.col("error before").sum(), pl.col("error after").sum()
    sold = pl.col("actual").abs().sum()
    nearer = (pl.col("error after") < pl.col("error before")) + 0.5 * (pl.col("error after") == pl.col("error before"))
    count = {"decision": "overrides", "line": "series"}
    return [*(pl.col(c).n_unique().cast(pl.UInt32).alias(word) for c, word in count.items()),
            pl.len().cast(pl.UInt32).alias("periods"), pl.col("move").sum().alias("moved"), *(pl.col(c).sum() for c in _JUDGED),
            pl.when(before > 0).then(1 - after / before).alias("value added"),
            *(pl.when(sold > 0).then((pl.col(c) - pl.col("actual")).sum() / sold).alias(f"bias {c}") for c in ("before", "after")),
            nearer.mean().alias("nearer")]


def _interval(part: pl.DataFrame, seed: int) -> tuple[float | None, float | None, str | None]:
    """95 % bounds of the value added: clusters drawn with replacement, the errors before and after of each kept together."""
    words = {"overrides": "decision", "series": "line"}
    counts = {word: part[column].n_unique() for word, column in words.items()}
    usable = [word for word in sorted(counts, key=lambda w: counts[w]) if counts[word] >= FEWEST]
    if not usable:
        return None, None, None
    names, unit = np.unique(part[words[usable[0]]].to_numpy(), return_inverse=True)
    if len(names) > _MOST_CLUSTERS:
        unit = np.random.default_rng(seed).permutation(len(names))[unit] % _MOST_CLUSTERS
    before, after = part["error before"].to_numpy(), part["error after"].to_numpy()
    found = paired_skill(after, before, clusters=unit, replicates=DRAWS, seed=seed)
    return (float(found.low), float(found.high), usable[0]) if np.isfinite([found.low, found.high]).all() else (None, None, None)
