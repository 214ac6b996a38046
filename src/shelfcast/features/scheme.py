"""Which covariates enter a model, and how: sorted by what a panel declares and what its history shows."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from shelfcast.features.drivers import Drivers, Term
from shelfcast.features.history import Rhythm
from shelfcast.panel import SalesPanel
from shelfcast.periods import Frequency

MOST_CATEGORIES = 60  # a text covariate with more values is left out: it would stand for a series
LEAST_KNOWN = 0.5  # share of the history's periods below which a covariate began too late to be told apart from the time


@dataclass(frozen=True)
class Scheme:
    """Which covariates enter, and how.

    Attributes
    ----------
    frequency : as text
    horizon : periods that rows look ahead at most
    closed_when : known covariate that is 0 where closed, or None
    flags : known covariates of 0 and 1
    numbers : other known numbers
    texts : {known text covariate: its values}
    past : past covariates
    static_numbers : static numbers
    static_texts : {static text: its values}
    crossed : flags that make cells with the weekday
    drivers : log-linear effects of the other known covariates
    country : for public holidays, or None
    year : history has seen each season: the position in the year is told to some of the trees, and they learn from the past run
        backwards, too
    """

    frequency: str
    horizon: int
    closed_when: str | None = None
    flags: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()
    texts: Mapping[str, Sequence[str]] | None = None
    past: tuple[str, ...] = ()
    static_numbers: tuple[str, ...] = ()
    static_texts: Mapping[str, Sequence[str]] | None = None
    crossed: tuple[str, ...] = ()
    drivers: Drivers = ()
    country: str | None = None
    year: bool = True

    @property
    def rhythm(self) -> Rhythm:
        """Lengths of time that suit the frequency."""
        return Rhythm.of(Frequency.parse(self.frequency))

    @property
    def slots(self) -> int:
        """Positions in the week (or day) that have an effect of their own."""
        return {"D": 7, "h": 48}.get(Frequency.parse(self.frequency).unit, 1)

    @property
    def cells(self) -> int:
        """K, the number of cells: slots x crossed flags."""
        return self.slots * 2 ** len(self.crossed)

    def as_json(self) -> dict[str, object]:
        """Plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, object]) -> "Scheme":
        """From plain values."""
        tuples: dict[str, object] = {k: tuple(v) if isinstance(v, list | tuple) else v for k, v in values.items()}
        tuples["drivers"] = tuple(Term(**one) for one in tuples["drivers"])  # type: ignore[attr-defined]
        return cls(**tuples)  # type: ignore[arg-type]


def learn_scheme(panel: SalesPanel, sample: SalesPanel, *, horizon: int, country: str | None = None) -> Scheme:
    """Sort the covariates of a panel into flags, numbers and texts by what a sample of its series shows."""
    categories = panel.categories
    dense = sample.dense(horizon=min(horizon, sample.horizon_given()))
    flags, numbers = [], []
    history = dense.sales.shape[1]
    texts = {n: v for n, v in categories.items() if panel.covariates[n] == "known" and len(v) <= MOST_CATEGORIES}
    for name, values in dense.known.items():
        if name in categories or name == panel.closed_when:
            continue
        known = np.isfinite(values)
        if known[:, :history].any(axis=0).mean() < LEAST_KNOWN:
            continue
        seen = values[known]
        if len(seen) and np.isin(seen, (0.0, 1.0)).all():
            flags.append(name)
        elif len(seen):
            numbers.append(name)
    static = {n for n, k in panel.covariates.items() if k == "static"}
    return Scheme(frequency=str(panel.frequency), horizon=horizon, closed_when=panel.closed_when, flags=tuple(flags),
                  numbers=tuple(numbers), texts=texts,
                  past=tuple(n for n in dense.past if n not in categories and np.isfinite(dense.past[n]).any()),
                  static_numbers=tuple(n for n in sorted(static) if n not in categories),
                  static_texts={n: categories[n] for n in sorted(static) if 0 < len(categories.get(n, [])) <= MOST_CATEGORIES},
                  country=country)
