"""Channels in which every panel can be told, so that one network reads them all: what the pretrained model is shown.

A named layout (`nn.channels.Layout`) gives each covariate of one panel a channel of its own. Here there are slots instead: flags
that are crossed with the weekday come first, then flags by the size of their effects, then values of texts, the more frequent
first; numbers by the size of theirs. What the effects of all flags and numbers together let expect stands in the channel of
what was expected, so that one without a slot is not lost; a text without a slot is.
"""

from dataclasses import asdict, dataclass
from typing import Final, Self

import numpy as np

from shelfcast.features.block import Block
from shelfcast.features.calendar import christmas, easter, start_days, thanksgiving
from shelfcast.features.scheme import Scheme
from shelfcast.features.table import BASE_TERMS, pooled_indexes
from shelfcast.names import AVAILABLE, STOCK
from shelfcast.nn.channels import BANDS, OWN, Scaling, View, usual_value
from shelfcast.periods import Frequency

FLAGS: Final = 4  # slots of covariates of 0 and 1, values of texts among them
NUMBERS: Final = 3  # of other known numbers
RECORDS: Final = 1  # of past covariates
UNITS: Final = ("h", "D", "W", "M")  # quarters and years are told as months are
_SERIES_TERMS: Final = ("middle/long", "short/middle", "own slope year ago", "item slope year ago", "place slope year ago",
                        "all slope year ago", "own growth", "item growth", "place growth")
_SHAPES: Final = ("item year ago", "place year ago", "all year ago")
_CALENDAR: Final = 18
CHANNELS: Final = OWN + len(BANDS) + 1 + len(_SHAPES) + FLAGS + NUMBERS + RECORDS + _CALENDAR
"""How many there are: weights that read another number were trained by another version."""
_AHEAD: Final = 5.0  # days over which the nearness of a feast fades


@dataclass(frozen=True)
class Universal:
    """A fixed set of channels and numbers; what is learned of a panel is which covariate takes which slot.

    Attributes
    ----------
    context, horizon : periods
    flags : (name, code) of a known covariate; code None where the covariate is itself 0 or 1, else the text's code that counts as 1
    numbers, records : {covariate: how it is scaled}, known and past
    """

    context: int
    horizon: int
    flags: tuple[tuple[str, int | None], ...] = ()
    numbers: tuple[tuple[str, Scaling], ...] = ()
    records: tuple[tuple[str, Scaling], ...] = ()

    @classmethod
    def learn(cls, block: Block, scheme: Scheme, *, context: int, horizon: int) -> Self:
        """Rank the covariates of a block: crossed flags first, then by the size of their effects."""
        width = block.sales.shape[1]
        effect: dict[str, float] = {}
        for term in scheme.drivers:
            if term.source == "covariate":
                effect[term.name] = effect.get(term.name, 0.0) + abs(term.coefficient)
        plain = sorted((n for n in scheme.flags if n not in scheme.crossed), key=lambda n: -effect.get(n, 0.0))
        flags: list[tuple[str, int | None]] = [(n, None) for n in (*scheme.crossed, *plain)]
        for name, texts in (scheme.texts or {}).items():
            values = block.known[name][:, :width]
            often = np.bincount(values[np.isfinite(values)].astype(np.int64), minlength=len(texts))
            flags += [(name, int(k)) for k in np.argsort(-often, kind="stable")[1:] if often[k]]  # the usual value says nothing
        numbers = sorted(scheme.numbers, key=lambda n: -effect.get(n, 0.0))[:NUMBERS]
        records = [n for n in block.past if n not in (AVAILABLE, STOCK)][:RECORDS]
        return cls(context, horizon, tuple(flags[:FLAGS]), tuple((n, Scaling.of(block.known[n][:, :width])) for n in numbers),
                   tuple((n, Scaling.of(block.past[n])) for n in records))

    def as_json(self) -> dict[str, object]:
        """Plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, object]) -> Self:
        """From plain values."""
        scaled = {k: tuple((n, Scaling(**s)) for n, s in values[k]) for k in ("numbers", "records")}  # type: ignore[attr-defined]
        flags = tuple((n, c) for n, c in values["flags"])  # type: ignore[attr-defined]
        return cls(values["context"], values["horizon"], flags, **scaled)  # type: ignore[arg-type]

    def channels(self, view: View) -> list[np.ndarray]:
        """How past errors lay, effects, what siblings and neighbours did, covariates by slot, and the calendar."""
        nothing = np.zeros(len(view.columns))
        found = [*_bands(view), np.log(np.clip(view.exposure, 0.02, 50.0)), *_around(view)]
        for name, code in self.flags:
            found.append(view.known(name) == (1 if code is None else code))
        found += [nothing] * (FLAGS - len(self.flags))
        for name, scaling in self.numbers:
            values = view.known(name)
            found.append(scaling.apply(values, usual_value(values[:, :self.context])))
        found += [nothing] * (NUMBERS - len(self.numbers))
        for name, scaling in self.records:
            values = view.seen(name)
            found.append(scaling.apply(values, usual_value(values[:, :self.context])))
        found += [nothing] * (RECORDS - len(self.records))
        return found + list(calendar_channels(Frequency.parse(view.scheme.frequency), view.block.periods(view.columns)))

    def attributes(self, view: View) -> list[np.ndarray]:
        """How much sells, how that moves, which slots are taken, and the frequency."""
        flat = np.nan_to_num(np.median(view.terms, axis=1))
        unit = {"Q": "M", "Y": "M"}.get(view.scheme.frequency[0], view.scheme.frequency[0])
        told = [np.log(np.maximum(view.usual, 1e-3)) / 3.0, np.log(view.scale / np.maximum(view.usual, 1e-9)) / 2.0]
        told += [flat[:, BASE_TERMS.index(name)] for name in _SERIES_TERMS]
        told += [np.isfinite(view.terms[:, :, BASE_TERMS.index("own year ago")]).mean(axis=1)]
        some = [len(self.flags) / FLAGS, len(self.numbers) / NUMBERS, len(self.records) / RECORDS,
                view.scheme.closed_when is not None, AVAILABLE in view.block.past or STOCK in view.block.past]
        return told + [np.full(1, float(v)) for v in (*some, *(unit == u for u in UNITS))]


def _bands(view: View) -> list[np.ndarray]:
    """[(N, K)]: over the horizon how far the quantiles of past errors lie from the anchor, 0 before; see `nn.network.BELOW`."""
    if view.bands is None:
        raise AssertionError("Universal channels tell how past errors lay; nobody told.")
    n, horizon, count = view.bands.shape
    before = np.zeros((n, len(view.columns) - horizon))
    return [np.concatenate([before, view.bands[:, :, k]], axis=1) for k in range(count)]


def _around(view: View) -> list[np.ndarray]:
    """[(N, K)] of item, place and all: log of how they sold against their own recent level; ahead, against last year's level what
    they sold a year ago."""
    origin, block = view.standing.origin, view.block
    horizon = view.terms.shape[1]
    shift = block.first - view.pooled.first
    columns = view.columns[:len(view.columns) - horizon] + shift
    found = []
    for (codes, index), shape in zip(pooled_indexes(block, view.pooled), _SHAPES, strict=True):
        last = min(origin + shift, index.shape[1] - 1)
        usable = (columns >= 0) & (columns <= last)
        values = np.where(usable, index[:, np.clip(columns, 0, index.shape[1] - 1)], np.nan)
        recent = values[:, -min(len(columns), view.scheme.rhythm.recent):]
        known = np.isfinite(recent)
        level = np.where(known, recent, 0.0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
        past = np.log(np.clip(values / np.maximum(level, 1e-9)[:, None], 0.02, 50.0))
        found.append(np.concatenate([past[codes], view.terms[:, :, BASE_TERMS.index(shape)]], axis=1))
    return found


def calendar_channels(frequency: Frequency, periods: np.ndarray) -> np.ndarray:
    """float (18, T), the same for every frequency: position in the day, week, month and year, and nearness of three feasts.

    Unlike a network that is trained on one panel, which would learn its few years by heart, a pretrained one sees thousands of
    made-up years, each with shocks of its own: what it learns of the year is what returns.
    """
    days = start_days(frequency, periods)
    dates = days.astype("datetime64[D]")
    months = dates.astype("datetime64[M]")
    of_month = (dates - months.astype("datetime64[D]")).astype(float)
    to_end = ((months + 1).astype("datetime64[D]") - dates).astype(float) - 1
    years = dates.astype("datetime64[Y]").astype(np.int64) + 1970
    of_year = (dates - dates.astype("datetime64[Y]").astype("datetime64[D]")).astype(float)
    fine, by_day = frequency.unit in "hD", frequency.unit in "hDW"
    rows = [((days + 3) % 7 == k) & fine for k in range(7)]
    hour = 2 * np.pi * (periods % 24) / 24
    rows += [f(hour) * (frequency.unit == "h") for f in (np.sin, np.cos)]
    rows += [np.exp(-of_month / 3.0) * by_day, np.exp(-to_end / 3.0) * by_day]
    rows += [f(2 * np.pi * m * of_year / 365.25) for m in (1, 2) for f in (np.sin, np.cos)]
    length = {"h": 1, "D": 1, "W": 7, "M": 30, "Q": 91, "Y": 365}[frequency.unit]
    inside = days[:, None] + np.arange(length)[None, :]
    for feast in (christmas, easter, thanksgiving):
        away = feast(years)[:, None] - inside
        rows.append(np.where(away >= 0, np.exp(-np.abs(away) / _AHEAD), 0.0).sum(axis=1) / _AHEAD)
    return np.array(rows, dtype=float)

