"""What the date alone says about a period: known for every period, past and future.

Takes a frequency and period numbers, returns one number a period and feature. Knows nothing about sales.
"""

import numpy as np

from shelfcast.errors import MissingExtraError, SettingsError, shorten
from shelfcast.periods import Frequency

FEAST_REACH = 35  # days around a moving feast within which the distance to it is told apart
SEASONAL = ("day_of_year", "week_of_year", "month", "days_from_easter", "days_from_mothers_day", "days_from_thanksgiving")
"""Features that tell the position in the year."""
_YEAR_DAYS = 364  # 52 whole weeks: the day of last year that falls on the same weekday

# Days around a feast whose sales follow the feast rather than the date: (before, after)
_EASTER_SPAN = (21, 8)
_MOTHERS_SPAN = (13, 1)
_THANKSGIVING_SPAN = (10, 4)


def start_days(frequency: Frequency, periods: np.ndarray) -> np.ndarray:
    """int64, same shape: days since 1970-01-01 of each period's date.

    >>> start_days(Frequency.parse("M"), np.array([1970 * 12 + 1]))
    array([31])
    """
    numbers = np.asarray(periods, dtype=np.int64)
    if frequency.unit == "D":
        return numbers
    if frequency.unit == "h":
        return numbers // 24
    if frequency.unit == "W":
        return numbers * 7 - 3 + frequency.anchor
    months = {"M": numbers - 1970 * 12, "Q": (numbers - 1970 * 4) * 3, "Y": (numbers - 1970) * 12}[frequency.unit]
    return months.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)


def easter(years: np.ndarray) -> np.ndarray:
    """int64: days since 1970-01-01 of Western Easter Sunday (Meeus/Jones/Butcher).

    >>> easter(np.array([2015])).astype("datetime64[D]")
    array(['2015-04-05'], dtype='datetime64[D]')
    """
    y = np.asarray(years, dtype=np.int64)
    a, b, c = y % 19, y // 100, y % 100
    d, e = b // 4, b % 4
    g = (8 * b + 13) // 25
    h = (19 * a + b - d - g + 15) % 30
    i, k = c // 4, c % 4
    ell = (32 + 2 * e + 2 * i - h - k) % 7
    m = (a + 11 * h + 22 * ell) // 451
    month = (h + ell - 7 * m + 114) // 31
    day = (h + ell - 7 * m + 114) % 31 + 1
    return _day(y, month, 1) + day - 1


def christmas(years: np.ndarray) -> np.ndarray:
    """int64: days since 1970-01-01 of 25 December."""
    return _day(np.asarray(years, dtype=np.int64), 12, 25)


def year_ago(frequency: Frequency, periods: np.ndarray) -> np.ndarray:
    """int64: the period of the year before that is most like each period.

    The same weekday 52 weeks earlier; around a moving feast (Easter, Mother's Day, Thanksgiving) as far from last year's feast;
    in the days around Christmas and New Year, for daily data, the same date. Months, quarters and years: the same one.

    >>> day = np.datetime64("2015-04-05").astype(int)  # Easter
    >>> year_ago(Frequency.parse("D"), np.array([day])).astype("datetime64[D]")
    array(['2014-04-20'], dtype='datetime64[D]')
    """
    return _year_away(frequency, periods, -1)


def year_after(frequency: Frequency, periods: np.ndarray) -> np.ndarray:
    """int64: the period of the year after that is most like each period, as `year_ago` finds that of the year before.

    >>> day = np.datetime64("2014-04-20").astype(int)  # Easter
    >>> year_after(Frequency.parse("D"), np.array([day])).astype("datetime64[D]")
    array(['2015-04-05'], dtype='datetime64[D]')
    """
    return _year_away(frequency, periods, 1)


def _year_away(frequency: Frequency, periods: np.ndarray, way: int) -> np.ndarray:
    numbers = np.asarray(periods, dtype=np.int64)
    if frequency.unit in "MQY":
        return numbers + way * {"M": 12, "Q": 4, "Y": 1}[frequency.unit]
    days = start_days(frequency, numbers)
    year = days.astype("datetime64[D]").astype("datetime64[Y]").astype(np.int64) + 1970
    other = year + way
    move = np.full(days.shape, way * _YEAR_DAYS, dtype=np.int64)
    for feast, (before, after) in ((easter, _EASTER_SPAN), (_mothers_day, _MOTHERS_SPAN), (thanksgiving, _THANKSGIVING_SPAN)):
        away = days - feast(year)
        near = (away >= -before) & (away <= after)
        move = np.where(near, feast(other) - feast(year), move)
    if frequency.unit == "D":
        turn = (days >= _day(year, 12, 20)) | (days <= _day(year, 1, 2))  # 20 December to 2 January: the date rules
        of_year = days - _day(year, 1, 1)  # from March on one more in a leap year: counted from the year's end instead
        same_date = np.where(of_year < 59, of_year + _day(other, 1, 1), _day(other, 12, 31) - (_day(year, 12, 31) - days))
        move = np.where(turn, same_date - days, move)
    if frequency.unit == "h":
        return numbers + move * 24
    return numbers + (move if frequency.unit == "D" else move // 7)


def calendar_features(frequency: Frequency, periods: np.ndarray, *, country: str | None = None,
                      year: bool = True) -> dict[str, np.ndarray]:
    """{feature: float64 (T,)}: position in week, month and year, and distance to feasts; all known ahead.

    Parameters
    ----------
    year : tell the position in the year, and in relation to moving feasts
    country : two letters (DE, US ...) for public holidays, which needs the package `holidays`; None for none
    """
    numbers = np.asarray(periods, dtype=np.int64)
    days = start_days(frequency, numbers)
    dates = days.astype("datetime64[D]")
    months = dates.astype("datetime64[M]")
    years = dates.astype("datetime64[Y]").astype(np.int64) + 1970
    month = (months.astype(np.int64) % 12 + 1).astype(float)
    if frequency.unit in "MQY":
        out = {"month": month} if year else {}
    else:
        first = months.astype("datetime64[D]")
        of_month = (dates - first).astype(np.int64) + 1
        last = ((months + 1).astype("datetime64[D]") - dates).astype(np.int64) - 1
        out = {"day_of_month": of_month.astype(float), "days_to_month_end": last.astype(float)}
        if frequency.unit in "Dh":
            out["weekday"] = ((days + 3) % 7).astype(float)
        if frequency.unit == "h":
            out["hour"] = (numbers % 24).astype(float)
        if year:
            of_year = days - _day(years, 1, 1) + 1
            out |= {"day_of_year": of_year.astype(float), "week_of_year": ((of_year - 1) // 7).astype(float), "month": month}
            for name, feast in (("easter", easter), ("mothers_day", _mothers_day), ("thanksgiving", thanksgiving)):
                out[f"days_from_{name}"] = np.clip(days - feast(years), -FEAST_REACH, FEAST_REACH).astype(float)
    if country is not None:
        out |= _public_holidays(frequency, days, country)
    return out


def _public_holidays(frequency: Frequency, days: np.ndarray, country: str) -> dict[str, np.ndarray]:
    try:
        import holidays
    except ImportError as error:
        raise MissingExtraError("A calendar of public holidays", "calendar", "holidays") from error
    reach = np.array([days.min() - 40, days.max() + 40])
    years = reach.astype("datetime64[D]").astype("datetime64[Y]").astype(int) + 1970
    try:
        found = holidays.country_holidays(country, years=range(int(years[0]), int(years[1]) + 1))
    except NotImplementedError as error:
        raise SettingsError(f"No holidays are known for the country {shorten(country)!r}. "
                            f"Give two letters, such as DE or US.") from error
    feast = np.sort(np.array([np.datetime64(d).astype(np.int64) for d in found], dtype=np.int64))
    if not len(feast):
        return {}
    if frequency.unit in "MQY":
        length = {"M": 31, "Q": 91, "Y": 365}[frequency.unit]
        return {"holidays": (np.searchsorted(feast, days + length) - np.searchsorted(feast, days)).astype(float)}
    at = np.searchsorted(feast, days)  # first holiday on or after
    ahead = feast[np.minimum(at, len(feast) - 1)] - days
    behind = days - feast[np.maximum(np.searchsorted(feast, days, side="right") - 1, 0)]
    out = {"days_to_holiday": np.clip(ahead, 0, 14).astype(float), "days_since_holiday": np.clip(behind, 0, 14).astype(float)}
    if frequency.unit == "W":  # nobody says whether a week's date marks its start or its end: tell both
        out["holidays_after"] = (np.searchsorted(feast, days + 7) - at).astype(float)
        out["holidays_before"] = (at - np.searchsorted(feast, days - 6)).astype(float)
    return out


def _day(year: np.ndarray, month: np.ndarray | int, day: int) -> np.ndarray:
    months = (np.asarray(year, dtype=np.int64) - 1970) * 12 + np.asarray(month, dtype=np.int64) - 1
    return months.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64) + day - 1


def _nth_weekday(year: np.ndarray, month: int, weekday: int, nth: int) -> np.ndarray:
    first = _day(year, month, 1)
    return first + (weekday - (first + 3)) % 7 + 7 * (nth - 1)


def _mothers_day(year: np.ndarray) -> np.ndarray:
    """The second Sunday of May, as in most countries."""
    return _nth_weekday(year, 5, 6, 2)


def thanksgiving(years: np.ndarray) -> np.ndarray:
    """The fourth Thursday of November, and with it Black Friday, which is kept far beyond the United States."""
    return _nth_weekday(years, 11, 3, 4)
