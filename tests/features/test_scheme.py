"""Which covariates enter the features."""

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from shelfcast.features.scheme import Scheme, learn_scheme
from shelfcast.models.boosted_rows import draw_sample
from shelfcast.panel import SalesPanel


def panel(known_from: int) -> SalesPanel:
    """Four series of 100 days and 7 to come, with a markdown that is known from a day on."""
    rng = np.random.default_rng(0)
    days = [date(2024, 1, 1) + timedelta(days=i) for i in range(107)]
    rows = [pl.DataFrame({"item": ["a"] * 107, "location": [s] * 107, "date": days,
                          "sales": [*rng.poisson(20, 100).astype(float), *[None] * 7],
                          "markdown": [None if i < known_from else float(v) for i, v in enumerate(rng.integers(1, 50, 107))],
                          "promo": rng.integers(0, 2, 107)}) for s in range(4)]
    return SalesPanel.from_frame(pl.concat(rows), freq="D", known=["markdown", "promo"], cutoff=days[99])


@pytest.mark.parametrize(("known_from", "enters"), [(0, True), (40, True), (60, False), (95, False), (101, False)])
def test_a_covariate_that_began_late_is_left_out_for_it_cannot_be_told_from_the_time(known_from, enters):
    whole = panel(known_from)
    scheme = learn_scheme(whole, whole, horizon=7)
    assert ("markdown" in scheme.numbers) is enters
    assert scheme.flags == ("promo",)


def test_a_scheme_with_its_drivers_survives_plain_values():
    scheme = draw_sample(panel(0), horizon=7, most_series=10, seed=0, country=None).scheme
    assert scheme.drivers
    assert Scheme.from_json(scheme.as_json()) == scheme
