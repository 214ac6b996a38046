"""Fitted forecasters as folders, whatever they are: a registered model, or a combination of several.

The folder of a combination has the label of a saved model (`model.json`, with the name `auto`); its members lie inside it, each
a saved model of its own. No file runs code when it is loaded; each file's hash is in the label.
"""

from pathlib import Path
from typing import Any

import polars as pl

from shelfcast.adjust.combination import NAME, Combination
from shelfcast.models.base import Forecaster
from shelfcast.models.registry import load_model, read_label, read_places, save_model
from shelfcast.panel import SalesPanel


def save_forecaster(model: Forecaster, folder: Path | str, *, panel: SalesPanel | None = None) -> None:
    """Write a fitted model or combination as a folder, whole or not at all.

    Parameters
    ----------
    panel : what it learned from; noted, so that loading for other sales can be refused
    """
    save_model(model, folder, panel=panel, also=(NAME,))


def load_forecaster(folder: Path | str, *, panel: SalesPanel | None = None) -> Forecaster:
    """Read what `save_forecaster` or `registry.save_model` wrote.

    Raises
    ------
    WeightsError
        If it is no saved model, or a file of it is absent, damaged or changed.
    """
    return load_model(folder, panel=panel, also={NAME: Combination.load})


def check_forecaster(folder: Path | str) -> None:
    """Refuse a folder whose label says that it is no saved model of this version; quick, since nothing else is read."""
    read_label(Path(folder), also=(NAME,))


def learned_horizon(folder: Path | str) -> Any:
    """The horizon among a saved forecaster's settings, as it is written there; None where there is none."""
    return read_label(Path(folder), also=(NAME,)).get("settings", {}).get("horizon")


def learned_places(folder: Path | str) -> pl.DataFrame | None:
    """The table of places that a saved forecaster learned with; None where it used none, or was saved before tables were kept.

    Raises
    ------
    WeightsError
        If the table is absent, damaged or changed.
    """
    return read_places(Path(folder), also=(NAME,))
