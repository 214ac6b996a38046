"""What a pretrained network is shown of a panel: statistics of the panel's own past in closed form, told in universal channels.

Nothing here is a gradient step: which covariates move sales, effects of weekdays and promotions, levels, last year's shape, and
what siblings and neighbours did are sums over the past (`models.profile`). The same is done for drawn worlds in pretraining and
for a customer's sales in forecasting.
"""

from dataclasses import dataclass, replace
from typing import Final, Self

import numpy as np
import polars as pl

from shelfcast.features.pooled import Pooled
from shelfcast.features.table import Standing
from shelfcast.models.boosted_rows import draw_sample, pool_panel
from shelfcast.models.profile import Profile, ProfileSettings, apply_coefficients
from shelfcast.names import AVAILABLE, SALES
from shelfcast.nn.channels import BANDS, FULL_SHELF
from shelfcast.nn.surroundings import Surroundings
from shelfcast.nn.universal import Universal
from shelfcast.panel import SalesPanel

MOST_CONTEXT: Final = 1_024
MOST_AHEAD: Final = 128
CONTEXT: Final = {"h": 336, "D": 256, "W": 128, "M": 48, "Q": 24, "Y": 16}
"""Periods that the network itself looks at; further back reach the statistics: what was a year ago, levels, effects."""
_ROWS: Final = 20_000  # past forecasts from which the profile's coefficients are learned
_SERIES: Final = 1_000  # series from which these are drawn
_LEAST_SHARE: Final = 0.25  # of a period in which the item could be bought, for its sales to tell those of the whole
_PARTS: Final = 2  # of an origin's series, each with steps of its own


@dataclass(frozen=True)
class InContext:
    """The statistics of a panel.

    Attributes
    ----------
    profile : fitted on the panel
    layout : which covariate takes which slot
    """

    profile: Profile
    layout: Universal

    @classmethod
    def of(cls, panel: SalesPanel, *, context: int, horizon: int | None, seed: int = 0, country: str | None = None) -> Self:
        """Learn a panel's statistics.

        Parameters
        ----------
        context : periods of the past that the network looks at
        horizon : periods ahead, or as far as known covariates reach
        """
        panel = undo_sold_out(panel)
        sample = draw_sample(panel, horizon=horizon, most_series=_SERIES, seed=seed, country=country)
        settings = ProfileSettings(seed=seed, max_rows=_ROWS, max_series=_SERIES, horizon=horizon, country=country)
        profile = Profile(settings).fit_sample(sample, net_of_returns=panel.net_of_returns, most_parts=_PARTS)
        return cls(profile, Universal.learn(sample.block, sample.scheme, context=context, horizon=min(sample.horizon, MOST_AHEAD)))

    def around(self, panel: SalesPanel, *, horizon: int, pooled: Pooled | None = None) -> Surroundings:
        """What windows of a panel (this one, or a later one like it) are made with; `pooled` of it, where that is at hand."""
        profile = self.profile
        pooled = pooled or pool_panel(panel, profile.scheme_)
        nobody = {kind: keys.head(0) for kind, keys in pooled.keys.items()}  # a pretrained network knows no names
        found = Surroundings.of(panel, pooled, scheme=profile.scheme_, layout=replace(self.layout, horizon=horizon),
                                expect=self._expect, names=nobody)
        return replace(found, bands=self._bands)

    def _expect(self, flat: np.ndarray, terms: np.ndarray) -> np.ndarray:
        return apply_coefficients(flat, terms, self.profile.coefficients_)

    def _bands(self, expected: np.ndarray, standing: Standing) -> np.ndarray:
        quantiles, _ = self.profile.spread_around(expected, standing.noise, standing.habits, BANDS)
        if not self.profile.net_of_returns_:
            quantiles = np.maximum(quantiles, 0.0)
        return np.maximum.accumulate(quantiles, axis=2)


def undo_sold_out(panel: SalesPanel) -> SalesPanel:
    """The panel with what would have sold in periods that were sold out in part, and nothing known of those that were so in most.

    What sells in a share of a period sells in proportion over the whole of it; under a few hours left that says too little.
    """
    if panel.covariates.get(AVAILABLE) != "past" or AVAILABLE not in panel.rows.columns:
        return panel
    share = pl.col(AVAILABLE)
    whole = pl.when(share < _LEAST_SHARE).then(None).when(share < FULL_SHELF).then(pl.col(SALES) / share).otherwise(pl.col(SALES))
    return replace(panel, rows=panel.rows.with_columns(whole.alias(SALES)))
