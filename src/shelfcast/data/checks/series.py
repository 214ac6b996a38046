"""Kinds of finding about which periods a series has: gaps, closed places, withdrawn and young series, copies, partial periods."""

from typing import Final

import numpy as np
import polars as pl

from shelfcast.data.checks.view import View
from shelfcast.data.findings import SHOWN, Found, Place, kind
from shelfcast.names import LOCATION

RARE: Final = 1e-4  # chance under the place's own rhythm below which a silence is called a closing
SPELL: Final = 3  # silent periods that make a closing, at least
WEEKS: Final = 8  # weeks of history before a weekday can be called always closed
YOUNG: Final = {"h": 24 * 28, "D": 56, "W": 26, "M": 12, "Q": 6, "Y": 4}  # periods before a series can speak for itself
ENOUGH: Final = 8  # periods with sales before a series can be called constant or a copy


@kind(
    "gaps",
    "NOTE",
    looks_at="series",
    says="periods within series have no row",
    unit="periods",
    why="A recorded series without a row is not known, which is neither closed nor sold out nor zero.",
    does="the periods stay unknown: no model takes them for zero",
)
def gaps(view: View) -> Found | None:
    """Steps of more than one period between the rows of a recorded series; a WARNING where their meaning is not clear."""
    assert view.panel is not None
    why = None if view.absence is None else view.absence.why
    if view.panel.absent == "zero" and why != "inferred":
        return None
    long = view.long
    step = np.diff(long.period)
    wide = (step > 1) & ~long.begins[1:]
    if not wide.any():
        return None
    at = np.flatnonzero(wide)
    count = int((step[at] - 1).sum())
    places = view.at_periods(long.series[at[:SHOWN]], long.period[at[:SHOWN]] + 1, [f"{n - 1} missing" for n in step[at[:SHOWN]]])
    span = int((long.last - long.first + 1).sum())
    if why == "inferred":
        return Found(count, span, places, says="periods within series have no row and count as nothing sold",
                     does="they count as zero, for no row ever says 0; --absent missing if they are not known")
    if why == "unclear":
        return Found(count, span, places, severity="WARNING",
                     does="they stay unknown; if nothing was sold in them, the forecast is far too high: --absent zero")
    return Found(count, span, places)


@kind(
    "closed_places",
    "NOTE",
    looks_at="series",
    says="places were silent for a while that their own rhythm does not explain",
    unit="places",
    why="A closed shop is not a shop without demand: its silence must not teach a model to forecast less.",
    does="nothing; give a known covariate that is 0 when the place is closed, such as Open",
)
def closed_places(view: View) -> Found | None:
    """All series of a place silent while other places sell, for longer than chance under its own share of selling periods."""
    assert view.panel is not None
    sold = view.place_sold
    if len(sold) < 2:
        return None
    openable = _openable(view, sold)
    width = sold.shape[1]
    active = np.zeros_like(sold)
    first, last = sold.argmax(axis=1), width - 1 - sold[:, ::-1].argmax(axis=1)
    columns = np.arange(width)
    np.logical_and(columns >= first[:, None], columns <= last[:, None], out=active)
    active &= openable & (sold.sum(axis=0) > np.maximum(1, 0.1 * len(sold)))[None, :]
    rate = (sold & active).sum(axis=1) / np.maximum(active.sum(axis=1), 1)
    place, period = np.nonzero(active)
    silent = ~sold[place, period]
    begin = np.flatnonzero(silent & np.r_[True, ~silent[:-1] | (place[1:] != place[:-1])])
    end = np.flatnonzero(silent & np.r_[~silent[1:] | (place[1:] != place[:-1]), True])
    length = end - begin + 1
    chance = np.power(1.0 - rate[place[begin]], length) * active.sum(axis=1)[place[begin]]
    spell = (length >= SPELL) & (chance < RARE)
    if not spell.any():
        return None
    which = np.flatnonzero(spell)
    order = which[np.argsort(-length[which], kind="stable")]
    noun = view.panel.frequency.noun
    places = [
        Place(
            location=view.location_names[int(place[begin[i]])],
            value=f"{length[i]} {noun}s",
            date=view.panel.frequency.date(view.first_period + int(period[begin[i]])),
        )
        for i in order[:SHOWN]
    ]
    return Found(len(np.unique(place[begin[which]])), len(sold), places)


def _openable(view: View, sold: np.ndarray) -> np.ndarray:
    """bool (places, T): not a weekday on which the place never sells; all true where periods are not days."""
    assert view.panel is not None
    out = np.ones_like(sold)
    if view.panel.frequency.unit != "D":
        return out
    weekday = (view.first_period + np.arange(sold.shape[1]) + 3) % 7
    for day in range(7):
        here = weekday == day
        out[np.ix_(~sold[:, here].any(axis=1), here)] = False
    return out


@kind(
    "closed_weekdays",
    "NOTE",
    looks_at="series",
    says="places never sell on a weekday on which others do",
    unit="places",
    why="Their usual closing day: the forecast of that day should be zero, and will be learned from the past.",
    does="nothing",
)
def closed_weekdays(view: View) -> Found | None:
    """A weekday without any sale at one place, though other places sell on it."""
    assert view.panel is not None
    if view.panel.frequency.unit != "D" or view.place_sold.shape[1] < 7 * WEEKS:
        return None
    sold = view.place_sold
    closed = ~_openable(view, sold)
    somewhere = sold.any(axis=0)
    busy = sold.sum(axis=1) >= WEEKS * 3
    shut = closed[:, somewhere].any(axis=1) & busy
    if not shut.any() or len(sold) < 2:
        return None
    places = []
    weekday = (view.first_period + np.arange(sold.shape[1]) + 3) % 7
    for i in np.flatnonzero(shut)[:SHOWN]:
        day = int(weekday[closed[i] & somewhere][0])
        places.append(
            Place(
                location=view.location_names[int(i)],
                value=("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")[day],
            )
        )
    return Found(int(shut.sum()), len(sold), places)


@kind(
    "withdrawn_series",
    "NOTE",
    looks_at="series",
    says="series are no longer sold, by their own rhythm",
    unit="series",
    why="An item that has left the shelf needs no forecast; a wrong judgement would leave a hole in the orders.",
    does="they are not forecast, and listed with the reason",
)
def withdrawn_series(view: View) -> Found | None:
    """Judged by lifecycle.judge."""
    assert view.panel is not None
    judged = view.judged
    gone = judged.filter(~pl.col("sold"))
    if not gone.height:
        return None
    places = [Place(item=i, location=loc, date=when, value=why) for i, loc, _, when, why in gone.head(SHOWN).iter_rows()]
    return Found(gone.height, judged.height, places)


@kind(
    "young_series",
    "NOTE",
    looks_at="series",
    says="series have begun too lately to speak for themselves",
    unit="series",
    why="Too few periods to see a rhythm: their forecast leans on series like them.",
    does="nothing",
)
def young_series(view: View) -> Found | None:
    """The first row lies fewer periods back than a season and a bit."""
    assert view.panel is not None
    age = view.panel.cutoff - view.panel.series["start"].to_numpy() + 1
    young = np.flatnonzero(age < YOUNG[view.panel.frequency.unit])
    if not len(young):
        return None
    noun = view.panel.frequency.noun
    return Found(len(young), len(view.panel), view.at_series(young, [f"{n} {noun}s" for n in age[young[:SHOWN]]]))


@kind(
    "zero_series",
    "NOTE",
    looks_at="series",
    says="series never sold anything",
    unit="series",
    why="Listed but never bought, or a column that was not filled.",
    does="nothing; they are judged withdrawn when silent for long",
)
def zero_series(view: View) -> Found | None:
    """Rows, but no sale above zero."""
    none = np.flatnonzero((view.long.sold_periods == 0) & (view.long.rows > 0))
    return Found(len(none), view.long.count, view.at_series(none)) if len(none) else None


@kind(
    "constant_series",
    "WARNING",
    looks_at="series",
    says="series sell the same number in every period",
    unit="series",
    why="Shops do not sell like that: a default value, a plan, or a copied column.",
    does="nothing; look at where they come from",
)
def constant_series(view: View) -> Found | None:
    """One value above zero in all of many periods."""
    assert view.panel is not None
    long = view.open_long
    low = long.least(long.sales if long.known.all() else np.where(long.known, long.sales, np.inf), np.inf)
    high = long.most(long.sales if long.known.all() else np.where(long.known, long.sales, -np.inf), -np.inf)
    span = long.last - long.first + 1
    whole = (long.known_periods >= ENOUGH) & ((long.known_periods == span) | (view.panel.absent == "missing"))
    same = np.flatnonzero(whole & (low == high) & (low > 0))
    if not len(same):
        return None
    return Found(
        len(same),
        long.count,
        view.at_series(same, [f"always {low[i]:g}" for i in same[:SHOWN]]),
        view.money(same, long.units[same]),
    )


@kind(
    "duplicate_series",
    "WARNING",
    looks_at="series",
    says="series are an exact copy of another one",
    unit="series",
    why="Two items or places with the same sales in every period are one of them, counted twice.",
    does="nothing; remove the copies if they are a mistake",
)
def duplicate_series(view: View) -> Found | None:
    """Equal hashes over all periods and sales; constant series left aside."""
    long = view.long.selling
    long = long.only((long.rows >= ENOUGH)[long.series])
    enough = long.rows > 0
    bits = long.sales.view(np.uint64) if long.sales.flags.c_contiguous else np.ascontiguousarray(long.sales).view(np.uint64)
    mixed = bits ^ (long.period.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15))
    mixed ^= mixed >> np.uint64(31)
    mixed *= np.uint64(0xBF58476D1CE4E5B9)
    mixed ^= mixed >> np.uint64(29)
    hashes = np.zeros(long.count, dtype=np.uint64)
    if len(mixed):
        hashes[long.filled] = np.add.reduceat(mixed, long.starts[long.filled])
    varied = long.most(long.sales, 0.0) != long.least(long.sales, 0.0)
    eligible = np.flatnonzero(enough & varied)
    if not len(eligible):
        return None
    _, first, which = np.unique(hashes[eligible], return_index=True, return_inverse=True)
    original = eligible[first[which]]
    copies = eligible[original != eligible]
    if not len(copies):
        return None
    assert view.panel is not None
    of = [view.panel.series.row(int(o), named=True) for o in original[original != eligible][:SHOWN]]
    named = [f"like item {o['item']} at {o[LOCATION]}" for o in of]
    return Found(len(copies), long.count, view.at_series(copies, named), view.money(copies, long.units[copies]))


@kind(
    "mixed_frequencies",
    "WARNING",
    looks_at="series",
    says="series have rows at longer steps than the rest",
    unit="series",
    why="Weekly numbers among daily ones: their sums are not comparable, and their gaps are no gaps.",
    does="nothing; read the two kinds apart, or ask for the longer period with --freq",
)
def mixed_frequencies(view: View) -> Found | None:
    """Most steps of a recorded series equal its smallest one, which is longer than one period."""
    assert view.panel is not None
    if view.panel.absent == "zero" or len(view.panel) < 2:
        return None
    long = view.long
    step = np.ones(len(long.period), dtype=np.int64)
    step[1:] = np.diff(long.period)
    inside = ~long.begins
    smallest = long.least(np.where(inside, step, np.iinfo(np.int64).max), 1)
    regular = long.total(inside & (step == smallest[long.series]))
    odd = (long.rows >= ENOUGH) & (smallest > 1) & (regular >= 0.8 * (long.rows - 1))
    if not odd.any() or odd.sum() == (long.rows > 0).sum():
        return None
    which = np.flatnonzero(odd)
    noun = view.panel.frequency.noun
    return Found(len(which), long.count, view.at_series(which, [f"every {smallest[i]} {noun}s" for i in which[:SHOWN]]))


@kind(
    "partial_periods",
    "NOTE",
    looks_at="series",
    says="partial periods stand at the ends",
    unit="periods",
    why="A week or month of which only some days are there looks like a fall in sales.",
    does="they are left out",
)
def partial_periods(view: View) -> Found | None:
    """As cleaning finds them."""
    span, panel = view.span, view.panel
    if span is None or panel is None or not (span.partial_first or span.partial_last):
        return None
    places = [Place(date=panel.frequency.date(span.first - 1), value="first")] if span.partial_first else []
    places += [Place(date=panel.frequency.date(span.last + 1), value="last")] if span.partial_last else []
    return Found(len(places), panel.cutoff - view.first_period + 1 + len(places), places)
