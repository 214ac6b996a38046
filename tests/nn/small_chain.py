"""A small chain in memory for tests of what a network is shown: items in places, with all that a panel may bring."""

from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import polars as pl

from shelfcast.models.boosted_rows import draw_sample
from shelfcast.models.profile import Profile, apply_coefficients
from shelfcast.nn.channels import learn_layout
from shelfcast.nn.surroundings import Surroundings
from shelfcast.panel import SalesPanel

START = date(2024, 1, 1)


def chain(*, items=2, places=3, days=120, ahead=7, factor=1.0, seed=0, located=True, absent="missing"):
    """A daily panel: promotions, prices, closed Sundays, visitors, availability, coordinates, a text attribute; one place opens
    in the middle of the history."""
    draw = np.random.default_rng(seed)
    parts = []
    when = [START + timedelta(days=t) for t in range(days + ahead)]
    opens = np.array([float(d.weekday() != 6) for d in when])
    for i in range(items):
        for j in range(places):
            promo = (draw.random(len(when)) < 0.2).astype(float)
            sales = draw.poisson(6.0 * (i + 1) * (1 + promo)) * opens * factor
            part = pl.DataFrame({"item": f"item {i}", "location": f"place {j:02d}", "date": when, "sales": sales, "promo": promo,
                                 "price": 2.0 + 0.1 * draw.integers(0, 5, len(when)), "open": opens,
                                 "visitors": sales / factor * 3 + draw.random(len(when)),
                                 "available": np.where(draw.random(len(when)) < 0.1, 0.5, 1.0)})
            parts.append(part[days // 2:] if j == 1 else part)
    sites = pl.DataFrame({"location": [f"place {j:02d}" for j in range(places)], "kind": ["north", "south"] * (places // 2)
                          + ["north"] * (places % 2), "latitude": [41.0 + 0.1 * j for j in range(places)],
                          "longitude": [-93.0 + 0.05 * j * j for j in range(places)]})
    panel = SalesPanel.from_frame(pl.concat(parts), freq="D", known=["promo", "price", "open"], past=["visitors", "available"],
                                  cutoff=when[days - 1], closed_when="open", absent=absent,
                                  places=sites if located else sites.drop("latitude", "longitude"))
    return replace(panel, covariates={**panel.covariates, "kind": "static"})


def surroundings(panel, *, context=28, horizon=7):
    """What windows of a panel are made with, the panel's own profile as the expected; and how far its history reaches."""
    sample = draw_sample(panel, horizon=horizon, most_series=1_000, seed=0, country=None)
    profile = Profile().fit_sample(sample, net_of_returns=False)
    layout = learn_layout(sample.block, sample.scheme, context=context, horizon=horizon)
    found = Surroundings.of(panel, sample.pooled, scheme=sample.scheme, layout=layout, names=sample.pooled.keys,
                            expect=lambda flat, terms: apply_coefficients(flat, terms, profile.coefficients_))
    return found, sample.block.sales.shape[1]
