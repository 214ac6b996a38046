"""Where places are, as a network is told."""

from dataclasses import replace

import numpy as np
import polars as pl

from nn.small_chain import chain, surroundings


def told(longitudes):
    panel = chain()
    places = panel.places.with_columns(pl.Series("longitude", longitudes), pl.lit(60.0).alias("latitude"))
    panel = replace(panel, places=places)
    return surroundings(panel)[0].who(panel.series).where


def test_places_on_both_sides_of_the_date_line_are_near_each_other():
    across, along = told([179.8, -179.9, 179.9]), told([9.8, 10.1, 9.9])
    np.testing.assert_allclose(across, along, atol=1e-9)
    assert np.abs(across[:, :2]).max() < 0.2
