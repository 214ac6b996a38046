"""A model of your own: two methods and a card; nothing to inherit.

    python examples/03_your_own_model.py
"""

import numpy as np

from shelfcast import Forecast, SalesPanel
from shelfcast.evaluate.backtest import backtest
from shelfcast.models.base import Traits
from shelfcast.models.registry import make_model
from shelfcast.names import LEVELS
from shelfcast.world.chain import DEMO, demo_chain


class LastMonth:
    """Every future day looks like a day drawn from the last 28."""

    traits = Traits(name="last month", summary="quantiles of the last 28 days", needs_fit=False)

    def fit(self, panel):
        """There is nothing to learn."""
        return self

    def predict(self, panel, *, horizon, levels=LEVELS):
        """The same quantiles for every day of the horizon."""
        sales = np.nan_to_num(panel.dense(context=28, covariates=[]).sales)              # (N, 28)
        quantiles = np.quantile(sales, levels, axis=1).T[:, None, :].repeat(horizon, 1)  # (N, H, Q)
        mean = sales.mean(axis=1, keepdims=True).repeat(horizon, 1)                      # (N, H)
        return Forecast(panel.series.select("item", "location"), panel.frequency, panel.cutoff, tuple(levels), quantiles, mean)


panel = SalesPanel.from_frame(demo_chain(DEMO).sales)
print(backtest(LastMonth(), panel, horizon=28, rival=make_model("naive")).headline()["SQL"])
