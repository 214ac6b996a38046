"""Where the calendar is new: wider quantiles for a season that the history has never shown.

A model that learned from less than a year knows nothing of the Christmas ahead, and its spread, learned in ordinary weeks, does
not know that it does not. The effect of an unseen season is an unknown factor on sales; it is taken to be independent of the
model's own error, so distances from the median add as squares:

    d'(tau)^2 = d(tau)^2 + (s z(tau) m)^2,   m the median, z the normal deviate, s the spread of the factor.

The factor is skewed: a season that matters sells more oftener than less, so s is larger above the median than below.

Who has seen a season? Models learn from all series together, so a series that opened this year takes its Christmas from the others:
it is unseen only where the series' own history is too short and its panel's is, too. A panel's history begins when a tenth of its
series have begun: one old product does not teach the season of a hundred new ones. The tenth is a judgement, not measured.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any, Final

import numpy as np
from scipy.special import ndtri

from shelfcast.adjust.calibrate import finished
from shelfcast.forecast import Forecast
from shelfcast.periods import Frequency

# Trade's special season everywhere that keeps Christmas and New Year: from the beginning of December until Epiphany.
_BEGINS: Final = (12, 1)
_ENDS: Final = (1, 6)
_TAUGHT: Final = 0.1  # share of a panel's series that must have seen a season for the others to learn it from them


@dataclass(frozen=True, kw_only=True)
class Unseen:
    """What calendar a model has seen, and how much a season may change sales that it has not.

    Attributes
    ----------
    first : first period of the panel's history, as a number, such as `first_seen` gives
    above, below : spread of the unknown factor of the special season, as a share of sales, above and below the median; the
        defaults made the quantile loss of the first December of walmart (which sold 46 % more at its peak) and of store_item
        (30 % less) smaller, and brought both to three quarters of truths inside the 80 % interval; see docs/log.md
    """

    first: int
    above: float = 0.4
    below: float = 0.3

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, held: Mapping[str, Any]) -> "Unseen":
        """What `as_json` gave."""
        return cls(**held)


def first_seen(starts: np.ndarray) -> int:
    """Period by which a tenth of the series had begun, from the first period of each (N,).

    >>> first_seen(np.array([0, *[300] * 19])), first_seen(np.array([0, 300]))
    (300, 0)
    """
    return int(np.quantile(starts, _TAUGHT, method="inverted_cdf"))


def widen_unseen(forecast: Forecast, unseen: Unseen, *, starts: np.ndarray, floor: float | None = 0.0) -> Forecast:
    """The forecast, wider in a special season that lies a year after nothing; the same forecast where there is none.

    Parameters
    ----------
    forecast : with 0.5 among its levels
    starts : int (N,), first period of each series
    floor : units below which nothing lies; None where sales may be negative
    """
    share = unseen_share(forecast.frequency, forecast.cutoff, forecast.horizon, unseen, starts=starts)  # (N, H, 2)
    if not share.any():
        return forecast
    z = ndtri(np.array(forecast.levels))
    middle = forecast.at(0.5)[:, :, None]
    distance = forecast.quantiles - middle
    factor = np.where(z < 0, share[:, :, :1], share[:, :, 1:])  # (N, H, Q)
    widened = np.hypot(distance, factor * z * np.abs(middle))
    quantiles = np.where(factor > 0, middle + np.sign(z) * widened, forecast.quantiles)
    return finished(forecast, quantiles, forecast.levels, floor)


def unseen_share(frequency: Frequency, cutoff: int, horizon: int, unseen: Unseen, *, starts: np.ndarray) -> np.ndarray:
    """(N, H, 2): spread of the unknown factor below and above the median in each period ahead; 0 where there is none.

    Other periods of a year that history has not shown are left to the calibration: the trials that it learned from were made
    in such periods, too.
    """
    periods = cutoff + 1 + np.arange(horizon)
    last_year = periods - round(frequency.per_year)
    special = np.array([touches_season(frequency, int(p)) for p in periods]) & (last_year < unseen.first)
    new = special & (last_year < starts[:, None])
    return new[:, :, None] * np.array([unseen.below, unseen.above])


def touches_season(frequency: Frequency, period: int) -> bool:
    """Whether a period holds a day of the special season, or, if longer than a month, whole December."""
    begin, after = _day(frequency.date(period)), _day(frequency.date(period + 1))
    if frequency.unit == "Y":
        return False
    if frequency.unit == "Q":
        return begin.month >= 10
    if frequency.unit == "M":
        return begin.month == 12
    return any(begin <= date(year + 1, *_ENDS) and after > date(year, *_BEGINS) for year in (begin.year - 1, begin.year))


def _day(when: date) -> date:
    return when.date() if isinstance(when, datetime) else when
