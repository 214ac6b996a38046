"""Drivers: how prices, promotions, opening days and other known covariates move sales, pooled over series.

One log-linear effect for each known covariate that moves from period to period,

    log E[sales of i in t] = level_i(t) + cell_i(t) + sum_j b_j z_ij(t),

learned from sales relative to the mean of the periods around them, against covariates relative to theirs. What moves
slowly, such as a temperature, has little left there and is left out: its effect cannot be told from the season's. Coefficients are
fitted by Poisson quasi-likelihood (Gourieroux, Monfort and Trognon 1984) and shrunk by their error clustered by period
(Liang and Zeger 1986), since all series see the same holiday on the same day.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from shelfcast.features.calendar import start_days
from shelfcast.features.history import TINY, Sums, cell_sums, relative_to_local_level, shrunk_effects
from shelfcast.periods import Frequency

LOCAL = {"h": 84, "D": 14, "W": 4, "M": 3, "Q": 2, "Y": 2}
"""Periods on either side that make the surroundings of a period, by unit of the frequency."""
FAST = 0.3  # share of a covariate's variance that must lie inside its surroundings
_STRONGEST = 3.0  # log effect of all drivers together
_STEPS = 15  # of Newton's method
_RIDGE = 20.0  # rows that no effect is worth
_DOUBT = 2.0  # squared errors by which a coefficient is shrunk


CLOSED = "closed"
MONTH = "month"
_WAVES = {"h": 3, "D": 3, "W": 2}  # harmonics of the month, by unit: wages and bills come by the month


@dataclass(frozen=True)
class Term:
    """One driver: a signal in one form.

    Attributes
    ----------
    source : `covariate`, `closed` (shut on a day of the week that is usually open) or `month` (a wave over each month)
    name : of the covariate; of the wave
    form : `value` (over `scale`), `log`, `before`, `after` (the value one period earlier or later)
    scale : usual deviation inside a series, for `value`
    coefficient : log effect of one unit of the form
    """

    source: str
    name: str
    form: str
    scale: float
    coefficient: float


Drivers = tuple[Term, ...]
Signals = Mapping[tuple[str, str], np.ndarray]


def signals(known: Mapping[str, np.ndarray], closed: np.ndarray | None, frequency: Frequency, periods: np.ndarray) -> Signals:
    """{(source, name): float (N, T + H) or (1, T + H)}: everything that may drive sales.

    Parameters
    ----------
    known : {covariate: float (N, T + H)}
    closed : bool (N, T + H), shut out of turn; None where nobody says when places are closed
    periods : int (T + H,), period numbers
    """
    found = {("covariate", name): values for name, values in known.items()}
    if closed is not None:
        found[CLOSED, ""] = closed.astype(float)
    if frequency.unit in _WAVES:
        dates = start_days(frequency, periods).astype("datetime64[D]")
        months = dates.astype("datetime64[M]")
        first, after = months.astype("datetime64[D]"), (months + 1).astype("datetime64[D]")
        phase = 2 * np.pi * (dates - first).astype(float) / (after - first).astype(float)
        for k in range(1, _WAVES[frequency.unit] + 1):
            found[MONTH, f"sin {k}"], found[MONTH, f"cos {k}"] = np.sin(k * phase)[None, :], np.cos(k * phase)[None, :]
    return found


def learn_drivers(given: Signals, sales: np.ndarray, cells: np.ndarray, *, size: int, flags: Sequence[str],
                  numbers: Sequence[str], unit: str) -> Drivers:
    """Effects of known covariates from a sample of series.

    Parameters
    ----------
    given : see `signals`
    sales : float (N, T), units; nan where unknown or closed
    cells : int (N, T + H), which cell (weekday x crossed flags) each period is; `size` of them
    flags, numbers : covariates of 0 and 1, and others, that may drive
    unit : of the frequency
    """
    half, width = LOCAL[unit], sales.shape[1]
    relative = relative_to_local_level(sales, half)
    seen = np.isfinite(relative)
    if seen.sum() < 2 * _RIDGE:
        return ()
    effects, noise = _cell_effects(relative, cells[:, :width], size)
    answer = np.minimum(relative / np.take_along_axis(effects, cells[:, :width], axis=1), 10.0)[seen]
    weight = np.repeat(1.0 / (noise + 0.05), seen.sum(1))
    weight /= weight.mean()
    period = np.nonzero(seen)[1]
    terms, columns = [], []
    for term in _candidates(given, width, flags, numbers):
        z = np.broadcast_to(_values(term, given, width)[:, :width], sales.shape)
        local = z - _local_mean(z, seen, half)
        if np.var(local[seen]) < max(FAST * np.var(z[seen]), TINY):
            continue
        terms.append(term)
        columns.append(local[seen])
    if not terms:
        return ()
    b = _fit(np.column_stack(columns), answer, weight, period, width)
    return tuple(Term(t.source, t.name, t.form, t.scale, float(c)) for t, c in zip(terms, b, strict=True) if c != 0.0)


def driven(drivers: Drivers, given: Signals, shape: tuple[int, int], *, history: int) -> np.ndarray:
    """float32 (N, T + H): log effect of all drivers, relative to each series' own usual values over its history.

    Parameters
    ----------
    history : T, columns before the future; what is usual is measured there
    """
    out = np.zeros(shape, dtype=np.float32)
    for term in drivers:
        if (term.source, term.name) in given:
            out += (term.coefficient * _values(term, given, history)).astype(np.float32)
    return np.clip(out, -_STRONGEST, _STRONGEST)


def _candidates(given: Signals, width: int, flags: Sequence[str], numbers: Sequence[str]) -> Iterator[Term]:
    """What may drive: flags on their day and the days beside it, the days beside a closed one, waves, numbers."""
    for (source, name), raw in given.items():
        values = raw[:, :width]
        if source == MONTH:
            yield Term(source, name, "value", 1.0, 0.0)
        elif source == CLOSED or name in flags:
            forms = ("before", "after") if source == CLOSED else ("value", "before", "after")
            yield from (Term(source, name, form, 1.0, 0.0) for form in forms)
        elif name in numbers:
            finite = values[np.isfinite(values)]
            if len(finite) and finite.min() > 0:
                yield Term(source, name, "log", 1.0, 0.0)
            elif len(finite):
                with np.errstate(invalid="ignore", over="ignore"):
                    scale = float(np.sqrt(np.nanmean(_centred(values, width) ** 2)))
                if np.isfinite(scale) and scale > TINY:
                    yield Term(source, name, "value", scale, 0.0)


def _values(term: Term, given: Signals, history: int) -> np.ndarray:
    """float (N, T + H): a term's values around their mean over the history; 0 where not known."""
    raw = given[term.source, term.name]
    if term.form == "log":
        with np.errstate(invalid="ignore", divide="ignore"):
            raw = np.where(raw > 0, np.log(raw), np.nan)
    elif term.form == "before":
        raw = np.concatenate([np.full_like(raw[:, :1], np.nan), raw[:, :-1]], axis=1)
    elif term.form == "after":
        raw = np.concatenate([raw[:, 1:], np.full_like(raw[:, :1], np.nan)], axis=1)
    limit = 2.0 if term.form == "log" else 4.0
    return np.nan_to_num(np.clip(_centred(raw, history) / term.scale, -limit, limit))


def _centred(values: np.ndarray, history: int) -> np.ndarray:
    past = values[:, :history]
    known = np.isfinite(past)
    with np.errstate(over="ignore", invalid="ignore"):
        mean = np.where(known, past, 0.0).sum(1) / np.maximum(known.sum(1), 1)
        return values - mean[:, None]


def _cell_effects(relative: np.ndarray, cells: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """(N, K) effects of cells, each series' own shrunk to all series', and (N,) noise around them."""
    sums = cell_sums(relative, cells, size, usual_noise=1.0)
    prior = (sums.total.sum(0) + 1.0) / (sums.count.sum(0) + 1.0)
    return shrunk_effects(sums, prior), sums.noise


def _local_mean(z: np.ndarray, seen: np.ndarray, half: int) -> np.ndarray:
    at = np.arange(z.shape[1])
    total = Sums(np.where(seen, z, 0.0)).window(at - half, at + half)
    return total / np.maximum(Sums(seen.astype(float)).window(at - half, at + half), 1)


def _fit(x: np.ndarray, answer: np.ndarray, weight: np.ndarray, period: np.ndarray, width: int) -> np.ndarray:
    """(P,) coefficients, each shrunk to 0 by its error clustered by period."""
    x = np.column_stack([np.ones(len(x)), x])
    pull = _RIDGE * np.diag(np.concatenate([[0.0], (x[:, 1:] ** 2).mean(axis=0)]))
    b = np.zeros(x.shape[1])
    b[0] = np.log(max(float(np.average(answer, weights=weight)), TINY))
    for _ in range(_STEPS):
        expected = np.exp(np.clip(x @ b, -_STRONGEST, _STRONGEST))
        curvature = (x * (weight * expected)[:, None]).T @ x + pull
        step = np.linalg.solve(curvature, x.T @ (weight * (answer - expected)) - pull @ b)
        b = b + np.clip(step, -0.5, 0.5)
        if np.abs(step).max() < 1e-6:
            break
    left = weight * (answer - np.exp(np.clip(x @ b, -_STRONGEST, _STRONGEST)))
    scores = np.stack([np.bincount(period, weights=left * column, minlength=width) for column in x.T], axis=1)
    inverse = np.linalg.inv(curvature)
    variance = np.diag(inverse @ (scores.T @ scores) @ inverse)[1:]
    b = b[1:]
    return b * np.maximum(0.0, 1.0 - _DOUBT * variance / np.maximum(b * b, 1e-12))
