"""A few series in memory that a network can learn something from: promotions, weekdays, two places, one of them louder."""

from datetime import date, timedelta

import numpy as np
import polars as pl

from shelfcast.panel import SalesPanel

START = date(2024, 1, 1)


def sales(*, days=100, ahead=7, seed=0, later=1.0, after=10**6, every=1) -> pl.DataFrame:
    """Sales of 2 items in 2 places; those of day `after` and later are multiplied by `later`. Rows of the `ahead` days at the end
    hold the promotions alone."""
    draw = np.random.default_rng(seed)
    parts = []
    for i, item in enumerate(("bread", "tea")):
        for j, place in enumerate(("Lyon", "Oslo")):
            t = np.arange(days + ahead)
            promo = (draw.random(len(t)) < 0.2).astype(float)
            sold = draw.poisson((4.0 + 3 * i + 5 * j) * (1 + (t % 7 == 5)) * (1 + promo)) * np.where(t >= after, later, 1.0)
            when = [START + timedelta(days=int(k) * every) for k in t]
            parts.append(pl.DataFrame({"item": item, "location": place, "date": when, "promo": promo,
                                       "sales": np.where(t < days, sold, np.nan)}).with_columns(pl.col("sales").fill_nan(None)))
    return pl.concat(parts)


def shop(*, days=100, every=1, **rest) -> SalesPanel:
    """The same as a panel, daily, or weekly where `every` is 7."""
    return SalesPanel.from_frame(sales(days=days, every=every, **rest), freq="D" if every == 1 else "W", known=["promo"],
                                 cutoff=START + timedelta(days=(days - 1) * every))
