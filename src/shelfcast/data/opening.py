"""When places are open: a closed shop is neither a lack of demand nor a lack of data.

`panel.closed_when` names the known covariate that is 0 where nothing can be sold. Such periods teach nothing about demand, and
their forecast is exactly 0. Where the covariate is not known, the place is taken to be open.
"""

import numpy as np

from shelfcast.panel import Dense, SalesPanel


def opening_covariate(panel: SalesPanel) -> tuple[str, ...]:
    """The covariate that says when places are open, for `panel.dense(covariates=...)`; nothing when the panel has none."""
    return () if panel.closed_when is None else (panel.closed_when,)


def demand_seen(panel: SalesPanel, dense: Dense) -> np.ndarray:
    """Sales (N, T), units, in periods when the place was open; nan where it was closed or nothing is known."""
    if panel.closed_when is None:
        return dense.sales
    return np.where(dense.known[panel.closed_when][:, : dense.sales.shape[1]] == 0, np.nan, dense.sales)


def closed_ahead(panel: SalesPanel, dense: Dense, horizon: int, *, ends: np.ndarray | None = None) -> np.ndarray:
    """bool (N, H): the place will be closed. `dense` must have been made with this horizon.

    Parameters
    ----------
    ends : int (N,), last period of history of each series, where they end at dates of their own; the panel's cutoff when None
    """
    if panel.closed_when is None:
        return np.zeros((len(panel), horizon), dtype=bool)
    known = dense.known[panel.closed_when]
    if ends is None:
        return known[:, dense.sales.shape[1]:] == 0
    return np.take_along_axis(known, (ends - dense.first + 1)[:, None] + np.arange(horizon), axis=1) == 0
