"""The table that models learn from: which covariates enter, and that nothing after the origin does."""

from datetime import date, timedelta

import numpy as np
import polars as pl

from shelfcast.features.table import features_at
from shelfcast.models.boosted_rows import Draw, draw_sample, stands
from shelfcast.panel import SalesPanel


def panel(*, later: float = 1.0) -> SalesPanel:
    """Four items for 120 days; sales after day 80 are multiplied by `later`; only `promo` moves them, `rain` does not."""
    rng = np.random.default_rng(0)
    when = [date(2023, 1, 2) + timedelta(days=t) for t in range(120)]
    parts = []
    for i in range(4):
        promo, rain = (rng.random((2, 120)) < 0.3).astype(float)
        sales = rng.poisson(20 * (1 + promo)) * np.where(np.arange(120) > 80, later, 1.0)
        parts.append(pl.DataFrame({"item": f"i{i}", "location": "x", "date": when, "sales": sales, "promo": promo, "rain": rain,
                                   "price": rng.uniform(1, 2, 120)}))
    return SalesPanel.from_frame(pl.concat(parts), freq="D", known=["promo", "rain", "price"])


def table(of: SalesPanel, *, horizon: int = 10) -> tuple[tuple[str, ...], np.ndarray]:
    sample = draw_sample(of, horizon=horizon, most_series=10, seed=0, country=None)
    steps = np.arange(1, horizon + 1)
    s = next(stands(sample, [Draw(80, np.arange(4), steps)]))
    found = features_at(s.block, sample.pooled, sample.scheme, s.standing, steps, flat=s.flat, terms=s.terms, base=s.flat,
                        horizon=horizon)
    return found.names, found.values


def test_the_flag_that_moves_sales_most_is_crossed_with_the_weekday_first():
    scheme = draw_sample(panel(), horizon=10, most_series=10, seed=0, country=None).scheme
    assert scheme.crossed[0] == "promo" and set(scheme.flags) == {"promo", "rain"} and scheme.numbers == ("price",)


def test_there_is_a_row_for_each_series_and_step_and_no_feature_twice():
    names, values = table(panel())
    assert values.shape == (40, len(names)) and len(set(names)) == len(names)


def test_own_features_do_not_move_when_sales_after_the_origin_do():
    names, before = table(panel())
    _, after = table(panel(later=3.0))
    own = [names.index(n) for n in ("idle", "age", "zeros recent", "promo", "price/recent", "promo since")]
    assert np.allclose(before[:, own], after[:, own], equal_nan=True)


def test_the_last_step_does_not_know_the_day_after_the_horizon():
    names, values = table(panel())
    after = values.reshape(4, 10, -1)[:, :, names.index("price/after")]
    assert np.isnan(after[:, -1]).all() and np.isfinite(after[:, :-1]).all()


def test_taking_series_takes_all_their_arrays():
    sample = draw_sample(panel(), horizon=10, most_series=10, seed=0, country=None)
    part = sample.block.take(np.array([1, 3]))
    assert np.array_equal(part.known["promo"], sample.block.known["promo"][[1, 3]]) and len(part.groups["item"]) == 2
