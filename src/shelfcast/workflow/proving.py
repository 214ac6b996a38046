"""The score of a forecast from the trials that made it: the last window, forecast without having learned from it, by all measures.

Trials replay the past anyhow, so a score of the last window costs no second fit. It is honest, for nothing was learned from that
window, and a little modest: members learned with little effort and from a sample of the series, weights from a window less.
"""

import polars as pl

from shelfcast.evaluate.backtest import Backtest, measure
from shelfcast.evaluate.grouping import scaling_season
from shelfcast.names import LEVELS
from shelfcast.panel import SalesPanel
from shelfcast.workflow.automatic import Proof
from shelfcast.workflow.pieces import Recorded


def score_of_proof(proof: Proof, panel: SalesPanel) -> Backtest:
    """The score of the last window that `auto` tried, beside seasonal naive, of the series that were tried.

    Parameters
    ----------
    panel : all that the forecast is made from
    """
    past, found = proof.window.past, []
    combination, rival = proof.forecasts
    for role, (name, forecast) in zip(("model", "rival"), proof.forecasts.items(), strict=True):
        scores = measure(proof.window, Recorded({past.cutoff: forecast}), levels=LEVELS).scores
        found.append(scores.with_columns(pl.lit(panel.frequency.date(past.cutoff)).alias("cutoff"), pl.lit(role).alias("role"),
                                         pl.lit(name).alias("model")))
    table = pl.concat(found).select("cutoff", "role", "model", "kind", "group", "series", "metric", "value")
    of = "" if len(past) == len(panel) else f", on {len(past):,} of {len(panel):,} series"
    learned = ("weights as they are before anything is tried, uncalibrated" if not proof.learned else
               f"weights and calibration from the {proof.learned} windows before it alone" if proof.learned > 1 else
               "weights and calibration from the window before it alone")
    stretch = f"{proof.window.horizon} {panel.frequency.noun}s after {panel.frequency.date(past.cutoff)}"
    told = (f"The score of the last window, {stretch}, is that of auto's own trial there{of}: effort fast, {learned}.",)
    return Backtest(table, combination, rival, proof.window.horizon, scaling_season(past), len(past), len(panel), told)
