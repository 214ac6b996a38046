"""Forecasts that were made before, read from the cache that the user names."""

from typing import Final

from shelfcast.files import check_folder
from shelfcast.forecast import Forecast
from shelfcast.models.base import Forecaster
from shelfcast.operate.cache import MARK, ForecastCache, ForecastKey, cached_forecast, forecast_key
from shelfcast.panel import SalesPanel
from shelfcast.settings import ForecastSettings

UNTIMED: Final = "Forecasts came from the cache: seconds say nothing of how long the model takes."


def refuse_cache(settings: ForecastSettings) -> None:
    """Refuse a folder that cannot be written to, or holds other things, before the work starts."""
    if settings.cache is not None:
        check_folder(settings.cache, marks=[MARK])


class Remembering:
    """A fitted model's forecasts of a panel, batch by batch, from the cache where it has them.

    Without `settings.cache` every forecast is made, and nothing is hashed.
    """

    def __init__(self, settings: ForecastSettings, model: Forecaster, panel: SalesPanel) -> None:
        self._settings, self._model, self._next = settings, model, 0
        self._cache: ForecastCache | None = None
        self._key: ForecastKey | None = None
        if settings.cache is not None:
            self._cache = ForecastCache(settings.cache)
            self._key = forecast_key(model, panel, horizon=settings.ahead, levels=settings.all_levels)

    def forecast(self, part: SalesPanel) -> Forecast:
        """Forecast the next series of the panel; `part` holds them, in the panel's order."""
        first, self._next = self._next, self._next + len(part)
        key = None if self._key is None else self._key.of(first, self._next)
        return cached_forecast(self._cache, key, lambda: self._model.predict(part, horizon=self._settings.ahead,
                                                                             levels=self._settings.all_levels))

    @property
    def told(self) -> str:
        """What the cache had, in one sentence; empty without a cache."""
        c = self._cache
        if c is None:
            return ""
        damaged = f", {c.dropped:,} damaged and dropped" if c.dropped else ""
        unkept = f"; {c.unkept:,} could not be kept" if c.unkept else ""
        return f"Cache: {c.hits:,} of {c.hits + c.misses:,} batches of the forecast were there{damaged}{unkept}."

    @property
    def notes(self) -> tuple[str, ...]:
        """For the manifest, which keeps what changed only speed."""
        return (self.told, UNTIMED) if self._cache is not None and self._cache.hits else (self.told,) if self.told else ()
