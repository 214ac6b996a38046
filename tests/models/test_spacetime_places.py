"""What the network is told of places when it forecasts is what it was told when it learned."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from nn.small_chain import chain
from shelfcast.models.spacetime import SpaceTime, SpaceTimeSettings
from shelfcast.names import LEVELS

HORIZON = 7
TINY = {"width": 8, "heads": 2, "layers": 1, "context": 28, "series": 24, "horizon": HORIZON, "steps": 8, "rate": 0.02}


def fit(panel, **settings):
    return SpaceTime(SpaceTimeSettings(**(TINY | settings))).fit(panel, progress=False)


def said(model, panel):
    return model.predict(panel, horizon=HORIZON, levels=LEVELS).quantiles


@pytest.fixture(scope="module")
def lost():
    return chain(located=False)


def test_coordinates_that_a_network_never_learned_change_nothing(lost):
    located = replace(lost, places=chain().places)
    model = fit(lost)
    np.testing.assert_array_equal(said(model, located), said(model, lost))


def test_a_region_that_a_network_never_learned_changes_nothing():
    bare = chain(places=4)
    bare = replace(bare, places=bare.places.drop("kind"), covariates={k: v for k, v in bare.covariates.items() if k != "kind"})
    named = replace(bare, places=bare.places.with_columns(pl.Series("state", ["a", "a", "b", "b"])))
    model = fit(bare)
    np.testing.assert_array_equal(said(model, named), said(model, bare))
