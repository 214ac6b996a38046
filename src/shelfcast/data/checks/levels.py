"""Kinds of finding about how much a series sells: outliers, unit jumps, level shifts, empty shelves, odd prices."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from shelfcast.data.checks.view import View
from shelfcast.data.cleaning.outliers import ENOUGH, FAR
from shelfcast.data.findings import SHOWN, Found, kind
from shelfcast.data.long import Long
from shelfcast.names import AVAILABLE, PRICE, SALES, STOCK
from shelfcast.panel import PERIOD, SERIES

SIDE: Final = {"h": 24, "D": 28, "W": 8, "M": 6, "Q": 4, "Y": 3}  # periods with sales on each side of a step
FACTORS: Final = (6, 12, 24, 10, 20, 48, 100, 144, 1000)  # pieces in packs, cases and thousands
NEAR: Final = 0.15  # in logarithms: a factor of 12 shows as 10.3 to 13.9
SHIFT: Final = np.log(3.0)  # a level that triples or falls to a third
LASTING: Final = np.log(2.0)  # all that came after against all that was before
CLEAR: Final = 8.0  # times the standard error of the difference
REGULAR: Final = 0.5  # sells in at least half of the periods in which it could
LONGEST: Final = 1 / 4  # year; a longer silence is an item taken off the shelf, or one of another season
RARE: Final = 1e-3  # expected number of such silences in the whole series
PRICE_FACTOR: Final = 5.0


@kind(
    "outliers",
    "NOTE",
    looks_at="levels",
    says="periods sold far more than all others of their series",
    unit="periods",
    why="A bulk order or a slipped digit: it pulls up the forecast if it will not come again.",
    does="kept as they are; choose outliers = cap to cut them to the limit",
)
def outliers(view: View) -> Found | None:
    """Above the limit of outliers.upper_limits."""
    long = view.long
    limits = long.limits(enough=ENOUGH, far=FAR)
    over = np.flatnonzero(long.sales > limits[long.series])
    if not len(over):
        return None
    excess = long.sales[over] - limits[long.series[over]]
    order = over[np.argsort(-excess, kind="stable")][:SHOWN]
    return Found(
        len(over),
        int(long.known_periods.sum()),
        view.at_periods(long.series[order], long.period[order], [f"{v:,.6g}" for v in long.sales[order]]),
        view.money(long.series[over], excess),
    )


@dataclass(frozen=True)
class _Steps:
    """The clearest step of each series that has a clear one.

    Attributes
    ----------
    row : (K,) row of `long` at which the new level begins
    change : (K,) difference of the mean logarithms
    """

    long: Long
    row: np.ndarray
    change: np.ndarray


def _steps(view: View) -> _Steps:
    """Compare the mean logarithm of sales in equal numbers of selling periods before and after every row.

    A step counts if the difference is CLEAR standard errors wide. Of each series the clearest is kept.
    """
    assert view.panel is not None
    long = view.long.selling
    side = SIDE[view.panel.frequency.unit]
    eligible = long.rows >= 2 * side
    if not eligible.any():
        return _Steps(long, np.zeros(0, dtype=np.int64), np.zeros(0))
    long = long.only(eligible[long.series])
    logs = np.log(long.sales)
    sums = np.concatenate([[0.0], np.cumsum(logs)])
    squares = np.concatenate([[0.0], np.cumsum(logs * logs)])
    count = len(logs)
    change = (
        sums[2 * side :] - 2 * sums[side : count - side + 1] + sums[: count - 2 * side + 1]
    ) / side  # at rows side, side + 1 ...
    within = long.series[: count - 2 * side + 1] == long.series[2 * side - 1 :]
    wide = np.flatnonzero(within & (np.abs(change) >= SHIFT))
    at, change = wide + side, change[wide]
    spread = []
    for low, high in ((at - side, at), (at, at + side)):
        mean = (sums[high] - sums[low]) / side
        spread.append(np.maximum((squares[high] - squares[low]) / side - mean * mean, 0.0))
    error = np.sqrt((spread[0] + spread[1] + 0.01) / side)  # 0.01: a tenth of noise in the steadiest series
    clear = np.abs(change) / error
    begin = long.starts[long.series[at]]
    end = begin + long.rows[long.series[at]]
    whole = (sums[end] - sums[at]) / (end - at) - (sums[at] - sums[begin]) / (at - begin)
    lasting = whole * np.sign(change) >= LASTING  # a season comes and goes, and leaves the whole before and after alike
    keep = (clear >= CLEAR) & lasting
    at, change, clear = at[keep], change[keep], clear[keep]
    if not len(at):
        return _Steps(long, at, change)
    order = np.lexsort((-clear, long.series[at]))
    best = order[np.r_[True, np.diff(long.series[at][order].astype(np.int64)) != 0]]
    return _Steps(long, at[best], change[best])


def _unit_jumps(view: View, steps: _Steps) -> np.ndarray:
    """int (K,): the factor of a step between packs and pieces, 0 for other steps.

    The change is near a usual pack size, and on the side that counts pieces nearly all numbers are whole packs, while on the
    other they are not.
    """
    long, side = steps.long, SIDE[view.panel.frequency.unit]  # type: ignore[union-attr]
    out = np.zeros(len(steps.row), dtype=np.int64)
    around = np.arange(side)[None, :] + steps.row[:, None]
    before, after = long.sales[around - side], long.sales[around]
    many = np.where((steps.change > 0)[:, None], after, before)
    few = np.where((steps.change > 0)[:, None], before, after)
    for factor in FACTORS:
        near = np.abs(np.abs(steps.change) - np.log(factor)) < NEAR
        packs = (np.mod(many, factor) == 0).mean(axis=1) >= 0.9
        pieces = (np.mod(few, factor) != 0).mean(axis=1) >= 0.5
        out = np.where((out == 0) & near & packs & pieces, factor, out)
    return out


@kind(
    "unit_jumps",
    "WARNING",
    looks_at="levels",
    says="series jump by a pack size, as if packs and pieces were mixed",
    unit="series",
    why="The same goods counted in cases before and in pieces after: one of the two levels is wrong by that factor.",
    does="nothing; bring both to one unit in the source",
)
def unit_jumps(view: View) -> Found | None:
    """A clear step by a factor of 6, 12, 24 ... on whole packs."""
    steps = _found_steps(view)
    factor = _unit_jumps(view, steps)
    which = np.flatnonzero(factor)
    if not len(which):
        return None
    row = steps.row[which]
    words = [f"times {f}" if c > 0 else f"divided by {f}" for f, c in zip(factor[which], steps.change[which], strict=True)]
    units = steps.long.sales[row]
    return Found(
        len(which),
        view.long.count,
        view.at_periods(steps.long.series[row], steps.long.period[row], words),
        view.money(steps.long.series[row], units),
    )


@kind(
    "level_shifts",
    "NOTE",
    looks_at="levels",
    says="series changed their level for good by a factor of three or more",
    unit="series",
    why="A new contract, a moved shelf, a lost customer: what was before says little about what comes.",
    does="nothing",
)
def level_shifts(view: View) -> Found | None:
    """A clear step that is no unit jump."""
    steps = _found_steps(view)
    which = np.flatnonzero(_unit_jumps(view, steps) == 0)
    if not len(which):
        return None
    row = steps.row[which]
    words = [f"times {np.exp(c):.2g}" for c in steps.change[which][:SHOWN]]
    return Found(
        len(which), view.long.count, view.at_periods(steps.long.series[row][:SHOWN], steps.long.period[row][:SHOWN], words)
    )


def _found_steps(view: View) -> _Steps:
    """The steps, looked for once for both kinds."""
    return view.once("steps", _steps)


@kind(
    "sudden_zeros",
    "NOTE",
    looks_at="levels",
    says="silences of regular sellers look like empty shelves",
    unit="silences",
    why="A shelf that is empty hides demand: forecast from sales alone, it stays empty.",
    does="nothing yet; give stock or available to have the hidden demand estimated",
)
def sudden_zeros(view: View) -> Found | None:
    """Runs of periods without a sale that would happen less than once in a thousand such series.

    With p the series' own share of selling periods among the n in which its place sold anything (or, in a recorded series, of
    its open rows), a silence of L periods is expected n (1 - p)^L times.
    """
    assert view.panel is not None
    if view.panel.absent == "zero":
        selling = view.long.selling
        width = view.place_sold.shape[1]
        if not len(view.place_sold):
            return None
        opened = np.concatenate([[0], np.cumsum(view.place_sold.ravel())])
        shift = view.location_codes * width - view.first_period
        spans = (
            opened[np.where(selling.rows > 0, shift + selling.last, 0)]
            - opened[np.where(selling.rows > 0, shift + selling.first, 0)]
            + 1
        )
        # Only series that can turn out regular are worth the look: a silence is at most as long as its gap.
        hopeful = (selling.rows >= ENOUGH) & (selling.rows >= REGULAR * (spans - selling.longest_gap))
        selling = selling.only(hopeful[selling.series])
        position = opened[shift[selling.series] + selling.period]
    else:
        known = view.open_long.only(view.open_long.known) if not view.open_long.known.all() else view.open_long
        position = np.flatnonzero(known.sold)
        selling = known.selling
    if len(position) < 2:
        return None
    silent = np.zeros(len(position), dtype=np.int64)
    silent[1:] = np.diff(position) - 1
    silent[selling.begins] = 0
    last = np.zeros(selling.count, dtype=np.int64)
    first = np.zeros(selling.count, dtype=np.int64)
    first[selling.filled] = position[selling.starts[selling.filled]]
    last[selling.filled] = position[selling.starts[selling.filled] + selling.rows[selling.filled] - 1]
    spans = last - first + 1
    # Without the longest silence, or a long one would pass for the usual rhythm.
    share = selling.rows / np.maximum(spans - selling.most(silent, 0), 1)
    longest = max(int(view.panel.frequency.per_year * LONGEST), 2)
    candidate = np.flatnonzero((silent >= 2) & (silent <= longest))
    code = selling.series[candidate]
    with np.errstate(divide="ignore"):
        expected = spans[code] * np.power(np.maximum(1.0 - share[code], 1.0 / (spans[code] + 1.0)), silent[candidate])
    rare = (share[code] >= REGULAR) & (selling.rows[code] >= ENOUGH) & (expected < RARE)
    which = candidate[rare]
    if not len(which):
        return None
    lost = silent[which] * (selling.units / np.maximum(spans, 1))[selling.series[which]]
    order = np.argsort(expected[rare], kind="stable")[:SHOWN]
    words = [f"{silent[which[i]]} {view.panel.frequency.noun}s, {_odds(float(expected[rare][i]))}" for i in order]
    before = selling.period[which[order] - 1] + 1
    return Found(
        len(which),
        int(selling.rows.sum()),
        view.at_periods(selling.series[which[order]], before, words),
        view.money(selling.series[which], lost),
    )


def _odds(expected: float) -> str:
    """How often chance alone does this in one series, in words.

    >>> _odds(4e-58), _odds(0.00037)
    ('by chance less than 1 in a million', 'by chance 1 in 3,000')
    """
    if expected < 1e-6:
        return "by chance less than 1 in a million"
    return f"by chance 1 in {float(f'{1 / expected:.0e}'):,.0f}"


@kind(
    "odd_prices",
    "WARNING",
    looks_at="levels",
    says=f"periods have a price {PRICE_FACTOR:g} times above or below their series' usual one",
    unit="periods",
    why="A price per case among prices per piece, or a slipped comma; it would look like a promotion.",
    does="nothing; look at these prices",
)
def odd_prices(view: View) -> Found | None:
    """Far from the geometric mean of the series' prices."""
    if PRICE not in view.history.columns:
        return None
    prices = view.history[PRICE].cast(pl.Float64).fill_null(np.nan).to_numpy()
    have = np.isfinite(prices) & (prices > 0)
    logs = np.where(have, np.log(np.where(have, prices, 1.0)), 0.0)
    number = view.long.total(have)
    usual = view.long.total(logs) / np.maximum(number, 1)
    odd = np.flatnonzero(
        have & (np.abs(logs - usual[view.long.series]) > np.log(PRICE_FACTOR)) & (number[view.long.series] >= ENOUGH)
    )
    if not len(odd):
        return None
    sales = np.nan_to_num(view.long.sales[odd])
    return Found(
        len(odd),
        int(have.sum()),
        view.at_periods(view.long.series[odd], view.long.period[odd], [f"{p:,.4g}" for p in prices[odd[:SHOWN]]]),
        float((sales * prices[odd]).sum()),
    )


@kind(
    "sold_without_stock",
    "WARNING",
    looks_at="levels",
    says="periods sold something that was said not to be there",
    unit="periods",
    why="Stock or availability and sales contradict each other: one of them is late or wrong.",
    does="nothing; sales are believed",
)
def sold_without_stock(view: View) -> Found | None:
    """Sales above zero with an availability of zero, or with nothing in stock at the end of this and the period before."""
    rows = view.history
    sold = pl.col(SALES) > 0
    if AVAILABLE in rows.columns:
        bad = sold & (pl.col(AVAILABLE).cast(pl.Float64) == 0)
        of = rows[AVAILABLE].count()
    elif STOCK in rows.columns:
        before = pl.col(STOCK).shift(1)
        same = (pl.col(SERIES) == pl.col(SERIES).shift(1)) & (pl.col(PERIOD) == pl.col(PERIOD).shift(1) + 1)
        bad = sold & (pl.col(STOCK) < 0) | (sold & same & (before == 0) & (pl.col(STOCK) == 0))
        of = rows[STOCK].count()
    else:
        return None
    found = rows.filter(bad)
    if not found.height:
        return None
    first = found.head(SHOWN)
    return Found(found.height, of, view.at_periods(first[SERIES].to_numpy(), first[PERIOD].to_numpy(), first[SALES].to_list()))
