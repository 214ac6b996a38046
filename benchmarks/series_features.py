"""What a series of sales looks like, as numbers: some forty features of each series in a window, without a loop over series.

Real and drawn series are told apart by these (`prior_realism.py`), so both go through the same function, with windows of the same
length. A feature that cannot be computed is nan: no promotion is recorded, no price, every week is a whole year ...

Sales are looked at as u = asinh(sales / mean of |sales|): free of units, nearly linear for small sales and logarithmic for large
ones, and defined for noughts and returns. The profile of a series is the ridge regression of u on level, trend, weekday and two
harmonics of the year; what it leaves is the residual.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from shelfcast.panel import SalesPanel
from shelfcast.periods import Frequency

SCALED: Final = ("level", "dispersion", "whole", "packs", "distinct")
"""Features that depend on the unit in which sales are counted: pieces, money, hectolitres."""
RECORDED: Final = ("missing", "late", "closed")
"""Features of the books rather than of the sales."""
ANSWERS: Final = ("promo", "promo_length", "promo_uplift", "price_changes", "price_spread", "price_slope")
"""Features of what is known ahead and how sales answer to it; nan where it is not recorded."""
SPIKE: Final = 4.0  # times the mean of the periods with sales; as in realism.py
DIP: Final = 0.25  # of the median of the periods with sales
PACKS: Final = (2, 3, 4, 6, 12)
BLOCKS: Final = 8  # stretches of a window whose mean residuals say whether the level wanders
RIDGE: Final = 1e-3  # of the profile's normal equations, per observed period


@dataclass(frozen=True)
class Sample:
    """Series of one panel in one window. N series, W periods.

    Attributes
    ----------
    frequency : length of a period
    first : period number of column 0
    sales : float (N, W), units; nan where not known, before a series begins, and where the place is closed
    closed : bool (N, W)
    begun : bool (N, W): the series has begun
    promo : float (N, W), share of the period in promotion; nan where nobody says
    price : float (N, W), money; nan where nobody says
    place : (N,), name of the place, by which series are kept together
    """

    frequency: Frequency
    first: int
    sales: np.ndarray
    closed: np.ndarray
    begun: np.ndarray
    promo: np.ndarray
    price: np.ndarray
    place: np.ndarray


def sample(panel: SalesPanel, *, window: int, most: int, rng: np.random.Generator, promo: str | None = None,
           price: str | None = None) -> Sample | None:
    """At most so many series of the last `window` periods of a panel, of those that began in its first half and sold something.

    Parameters
    ----------
    promo, price : names of the known covariates that say so, where the panel has them

    Returns
    -------
    None where no series is long enough.
    """
    first = panel.cutoff - window + 1
    early = np.flatnonzero(panel.series["start"].to_numpy() <= first + window // 2)
    if int(panel.series["start"].min()) > first or not len(early):  # type: ignore[arg-type]
        return None
    part = panel.select(np.sort(rng.permutation(early)[: 2 * most]))
    wanted = [n for n in dict.fromkeys((promo, price, panel.closed_when)) if n is not None and n in panel.covariates]
    dense = part.dense(context=window, covariates=wanted)
    unknown = np.full(dense.sales.shape, np.nan)
    given = {**dense.known, **dense.past}
    closed = given[panel.closed_when] == 0 if panel.closed_when in given else np.zeros(dense.sales.shape, dtype=bool)
    begun = dense.periods[None, :window] >= part.series["start"].to_numpy()[:, None]
    sales = np.where(closed, np.nan, dense.sales)
    seen = np.isfinite(sales)
    keep = np.flatnonzero((seen.sum(1) >= window // 4) & (np.where(seen, np.abs(sales), 0.0).sum(1) > 0))[:most]
    if not len(keep):
        return None
    return Sample(panel.frequency, first, sales[keep], closed[keep], begun[keep], given.get(promo or "", unknown)[keep],
                  given.get(price or "", unknown)[keep], part.series["location"].cast(pl.String).to_numpy()[keep])


def features(s: Sample) -> pl.DataFrame:
    """One row a series, one column a feature, and `place`."""
    y, seen = s.sales, np.isfinite(s.sales)
    n = seen.sum(1)
    positive = seen & (y > 0)
    scale = _mean(np.abs(y))
    u = np.arcsinh(y / scale[:, None])
    design, blocks = _design(s)
    residual = _residual(u, design)
    noise = _spread(residual)
    z = residual / np.where(noise > 0, noise, np.nan)[:, None]
    usual = _mean(np.where(positive, y, np.nan))
    middle = _quantile(np.where(positive, y, np.nan), 0.5)
    season = {"h": 24, "D": 7, "W": 4, "M": 12}.get(s.frequency.unit, 1)
    year = round(s.frequency.per_year / 7) * 7 if s.frequency.unit == "D" else round(s.frequency.per_year)
    runs, longest = _runs(seen & (y == 0))
    found = {
        # how much, and in which steps
        "level": np.log10(usual), "dispersion": np.log10(_mean(np.diff(y) ** 2) / 2 / scale + 1e-6),
        "whole": _mean(np.where(positive, np.abs(y - np.round(y)) < 1e-6, np.nan)), "packs": _packs(y, positive),
        "distinct": np.log10(_distinct(y) / n),
        # noughts, gaps, returns
        "zeros": _mean(np.where(seen, y == 0, np.nan)), "zero_runs": np.log10(np.maximum(runs, 1)),
        "zero_longest": longest / y.shape[1], "negative": _mean(np.where(seen, y < 0, np.nan)),
        "missing": _mean(np.where(s.begun & ~s.closed, ~seen, np.nan).astype(float)), "late": 1.0 - s.begun.mean(1),
        "closed": _mean(np.where(s.begun, s.closed, np.nan).astype(float)),
        # shape of the distribution
        "cv": np.log10(_spread(y) / scale + 1e-6), "cv_sold": np.log10(_spread(np.where(positive, y, np.nan)) / usual + 1e-3),
        "peak": np.log10(np.where(positive, y, 0.0).max(1) / usual),
        "top": np.log10(_quantile(np.where(positive, y, np.nan), 0.95) / middle),
        "spikes": _mean(np.where(seen, y > SPIKE * usual[:, None], np.nan)),
        "dips": _mean(np.where(positive, y < DIP * middle[:, None], np.nan)),
        "skew": _mean(z**3), "tails": np.log10(_mean(z**4)), "noise": np.log10(noise + 1e-3),
        # what lasts, what comes back
        "lag_1": _lag(u, 1), "lag_season": _lag(u, season), "lag_year": _lag(u, year),
        "week": _strength(u, design, blocks["week"]), "year": _strength(u, design, blocks["year"]),
        "trend": _slope(u, s.frequency), "wander": _wander(z), "residual_lag_1": _lag(z, 1), "residual_lag_season": _lag(z, season),
        "unrest_lag_1": _lag(np.abs(z), 1), "december": _december(u, s), "together": _together(z),
        # what is known ahead
        **_promotion(residual, s.promo, seen), **_price(residual, s.price, seen),
    }
    return pl.DataFrame({**{k: v.astype(float) for k, v in found.items()}, "place": s.place})


def _mean(values: np.ndarray) -> np.ndarray:
    """(N,) over the known; nan where nothing is."""
    known = np.isfinite(values)
    n = known.sum(1)
    return np.where(n > 0, np.where(known, values, 0.0).sum(1) / np.maximum(n, 1), np.nan)


def _spread(values: np.ndarray) -> np.ndarray:
    """(N,) standard deviations over the known."""
    return np.sqrt(_mean((values - _mean(values)[:, None]) ** 2))


def _quantile(values: np.ndarray, level: float) -> np.ndarray:
    """(N,) over the known, the nearest one below; nan where nothing is."""
    known = np.isfinite(values).sum(1)
    ranked = np.sort(values, axis=1)  # nan last
    at = np.floor(level * np.maximum(known - 1, 0)).astype(int)
    return np.where(known > 0, ranked[np.arange(len(values)), at], np.nan)


def _lag(values: np.ndarray, lag: int) -> np.ndarray:
    """(N,) autocorrelation; nan where fewer than two lags fit, or nothing varies."""
    if values.shape[1] < 2 * lag:
        return np.full(len(values), np.nan)
    centred = values - _mean(values)[:, None]
    both = _mean(centred[:, lag:] * centred[:, :-lag])
    variance = _mean(centred**2)
    return np.where(variance > 1e-12, both / np.maximum(variance, 1e-12), np.nan)


def _design(s: Sample) -> tuple[np.ndarray, dict[str, list[int]]]:
    """(W, K) regressors, and which columns are the week's and the year's; a block that the window cannot show is empty."""
    width = s.sales.shape[1]
    periods = s.first + np.arange(width)
    columns = [np.ones(width), np.linspace(-1.0, 1.0, width)]
    week = []
    if s.frequency.unit == "D":
        weekday = np.asarray(s.frequency.dates(periods).dt.weekday())
        week = list(range(2, 8))
        columns += [(weekday == d).astype(float) - (weekday == 7) for d in range(1, 7)]
    year = []
    if width >= 0.9 * s.frequency.per_year and s.frequency.per_year > 2:
        year = list(range(len(columns), len(columns) + 4))
        day = np.asarray(s.frequency.dates(periods).cast(pl.Date).dt.ordinal_day()) / 365.25
        columns += [f(2 * np.pi * k * day) for k in (1, 2) for f in (np.cos, np.sin)]
    return np.stack(columns, axis=1), {"week": week, "year": year}


def _residual(u: np.ndarray, design: np.ndarray) -> np.ndarray:
    """(N, W): what a ridge regression of each series on the same regressors leaves; nan stays nan."""
    seen = np.isfinite(u)
    k = design.shape[1]
    pairs = (design[:, :, None] * design[:, None, :]).reshape(len(design), k * k)
    gram = (seen.astype(float) @ pairs).reshape(-1, k, k) + RIDGE * seen.sum(1)[:, None, None] * np.eye(k)
    sums = np.where(seen, u, 0.0) @ design
    weights = np.linalg.solve(gram, sums[:, :, None])[:, :, 0]
    return u - weights @ design.T


def _strength(u: np.ndarray, design: np.ndarray, block: list[int]) -> np.ndarray:
    """(N,) share of the variance that a block of regressors explains beyond the others."""
    if not block:
        return np.full(len(u), np.nan)
    without = _spread(_residual(u, np.delete(design, block, axis=1))) ** 2
    return np.where(without > 1e-12, 1.0 - _spread(_residual(u, design)) ** 2 / np.maximum(without, 1e-12), np.nan)


def _slope(u: np.ndarray, frequency: Frequency) -> np.ndarray:
    """(N,) change of u a year, by least squares."""
    years = np.where(np.isfinite(u), np.arange(u.shape[1]) / frequency.per_year, np.nan)
    x = years - _mean(years)[:, None]
    return _mean(x * u) / np.maximum(_mean(x**2), 1e-12)


def _wander(z: np.ndarray) -> np.ndarray:
    """(N,) standard deviation of the mean residuals of stretches, times the root of their length: 1 when nothing wanders."""
    length = z.shape[1] // BLOCKS
    means = np.stack([_mean(z[:, i * length:(i + 1) * length]) for i in range(BLOCKS)], axis=1)
    return np.log10(_spread(means) * np.sqrt(length) + 1e-3)


def _december(u: np.ndarray, s: Sample) -> np.ndarray:
    """(N,) mean of u in the four weeks before Christmas less the mean of the rest; nan where the window has none."""
    dates = s.frequency.dates(s.first + np.arange(u.shape[1])).cast(pl.Date)
    month, day = np.asarray(dates.dt.month()), np.asarray(dates.dt.day())
    before = (month == 12) & (day <= 24) | (month == 11) & (day >= 27)
    if s.frequency.unit in "MQY":
        before = month == 12
    if not before.any():
        return np.full(len(u), np.nan)
    return _mean(np.where(before, u, np.nan)) - _mean(np.where(before, np.nan, u))


def _together(z: np.ndarray) -> np.ndarray:
    """(N,) correlation of a series' residuals with the mean of the others' in its panel; nan for a panel of one."""
    seen = np.isfinite(z)
    total, count = np.where(seen, z, 0.0).sum(0), seen.sum(0)
    others = np.where(seen & (count > 1), (total - np.where(seen, z, 0.0)) / np.maximum(count - 1, 1), np.nan)
    spread = _spread(others) * _spread(np.where(np.isfinite(others), z, np.nan))
    both = _mean((others - _mean(others)[:, None]) * z) if len(z) > 1 else np.full(len(z), np.nan)
    return np.where(spread > 1e-9, both / np.maximum(spread, 1e-9), np.nan)


def _runs(on: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(N,) mean and longest length of the runs of True; 0 without any."""
    edge = np.zeros((len(on), 1), dtype=bool)
    starts = (on & ~np.hstack([edge, on[:, :-1]])).sum(1)
    columns = np.arange(on.shape[1])
    last_off = np.maximum.accumulate(np.where(on, -1, columns), axis=1)
    return np.where(starts > 0, on.sum(1) / np.maximum(starts, 1), 0.0), np.where(on, columns - last_off, 0).max(1).astype(float)


def _packs(y: np.ndarray, positive: np.ndarray) -> np.ndarray:
    """(N,) how much oftener than by chance sales are multiples of some small number, the most over such numbers."""
    shares = [_mean(np.where(positive, np.abs(y / k - np.round(y / k)) < 1e-9, np.nan)) - 1 / k for k in PACKS]
    return np.max(shares, axis=0)


def _distinct(y: np.ndarray) -> np.ndarray:
    """(N,) number of different values."""
    ranked = np.sort(y, axis=1)
    return np.isfinite(ranked[:, 0]) + ((ranked[:, 1:] != ranked[:, :-1]) & np.isfinite(ranked[:, 1:])).sum(1)


def _promotion(residual: np.ndarray, promo: np.ndarray, seen: np.ndarray) -> dict[str, np.ndarray]:
    """Share of periods in promotion, how long one lasts, and mean residual in it less outside."""
    on, off = seen & (promo > 0), seen & (promo == 0)
    known = np.isfinite(promo).any(1)
    length, _ = _runs(promo > 0)
    uplift = _mean(np.where(on, residual, np.nan)) - _mean(np.where(off, residual, np.nan))
    return {"promo": np.where(known, _mean(np.where(seen & np.isfinite(promo), promo > 0, np.nan)), np.nan),
            "promo_length": np.where(length > 0, np.log10(np.maximum(length, 1)), np.nan),
            "promo_uplift": np.where((on.sum(1) >= 3) & (off.sum(1) >= 3), uplift, np.nan)}


def _price(residual: np.ndarray, price: np.ndarray, seen: np.ndarray) -> dict[str, np.ndarray]:
    """How often the price changes, how far it goes, and the slope of the residuals on its logarithm."""
    log = np.log(np.where(price > 0, price, np.nan))
    steps = np.diff(log)
    centred = np.where(seen, log, np.nan)
    centred = centred - _mean(centred)[:, None]
    variance = _mean(centred**2)
    slope = _mean(centred * residual) / np.maximum(variance, 1e-12)
    return {"price_changes": _mean(np.where(np.isfinite(steps), np.abs(steps) > 1e-3, np.nan)), "price_spread": _spread(log),
            "price_slope": np.where(variance > 1e-4, slope, np.nan)}
