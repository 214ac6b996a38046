"""Kinds of finding about covariates: those that know too much, those that end too early, those that say nothing."""

from typing import Final

import numpy as np
import polars as pl

from shelfcast.data.checks.view import View
from shelfcast.data.findings import SHOWN, Found, Place, kind
from shelfcast.names import ITEM, KEYS, LOCATION
from shelfcast.panel import SalesPanel

DETERMINED: Final = 0.99  # correlation with the sales of the same period that only the sales themselves reach
TELLING: Final = 0.85  # within series, over periods with sales: more than price, promotion and weather together explain
SAMPLE: Final = 200  # series looked at for correlations: more change the third digit
PAIRS: Final = 100  # periods needed
RESULTS: Final = (
    r"(?i)(customer|footfall|visitor|transaction|receipt|basket|revenue|turnover|profit|margin|units_sold|_sold|returns)"
)


def _sampled(panel: SalesPanel) -> SalesPanel:
    """At most SAMPLE series, spread evenly."""
    if len(panel) <= SAMPLE:
        return panel
    return panel.select(np.unique(np.linspace(0, len(panel) - 1, SAMPLE).astype(int)))


def _correlations(view: View) -> dict[str, tuple[float, float]]:
    """{known or past covariate: (correlation with sales of the same period over all, within series where both vary)}."""
    return view.once("correlations", _correlate)


def _correlate(view: View) -> dict[str, tuple[float, float]]:
    assert view.panel is not None
    out: dict[str, tuple[float, float]] = {}
    names = [n for n, k in view.panel.covariates.items() if k != "static" and n not in view.panel.categories]
    if names:
        panel = _sampled(view.panel)
        for name in names:
            dense = panel.dense(covariates=[name])
            values = {**dense.known, **dense.past}[name][:, : dense.sales.shape[1]]
            both = np.isfinite(values) & np.isfinite(dense.sales)
            selling = both & (dense.sales > 0)
            within = _correlation(_centred(dense.sales, selling), _centred(values, selling), selling)
            out[name] = (_correlation(dense.sales, values, both), within)
    return out


def _count(panel: SalesPanel, sort: str) -> int:
    return sum(k == sort for k in panel.covariates.values())


def _centred(values: np.ndarray, where: np.ndarray) -> np.ndarray:
    held = np.where(where, values, 0.0)
    mean = held.sum(axis=1, keepdims=True) / np.maximum(where.sum(axis=1, keepdims=True), 1)
    return np.where(where, values - mean, 0.0)


def _correlation(a: np.ndarray, b: np.ndarray, where: np.ndarray) -> float:
    if where.sum() < PAIRS:
        return 0.0
    x, y = a[where] - a[where].mean(), b[where] - b[where].mean()
    size = np.sqrt((x @ x) * (y @ y))
    return float(x @ y / size) if size > 0 else 0.0


@kind(
    "leaking_covariates",
    "ERROR",
    looks_at="covariates",
    says="known covariates hold the sales that they should help to forecast",
    unit="covariates",
    why="What moves with the sales of the same period cannot be known ahead: excellent scores, worthless forecasts.",
    does="nothing; take it out of --known",
)
def leaking_covariates(view: View) -> Found | None:
    """A known covariate that nearly equals sales, or tells more than anything known ahead could."""
    assert view.panel is not None
    found = []
    for name, (over_all, within) in _correlations(view).items():
        if view.panel.covariates[name] == "known" and (abs(over_all) >= DETERMINED or abs(within) >= TELLING):
            strongest = max(over_all, within, key=abs)
            found.append(Place(value=f"{name}: correlation {strongest:.2f} with the sales of the same {view.panel.frequency.noun}"))
    return Found(len(found), _count(view.panel, "known"), found) if found else None


@kind(
    "results_declared_known",
    "WARNING",
    looks_at="covariates",
    says="known covariates have the name of a result, not of a plan",
    unit="covariates",
    why="Customers, receipts or revenue of a day are counted in the evening.",
    does="nothing; declare them with --past unless they really are plans",
)
def results_declared_known(view: View) -> Found | None:
    """By their names."""
    assert view.panel is not None
    known = pl.Series("name", [n for n, k in view.panel.covariates.items() if k == "known"], dtype=pl.String)
    bad = known.filter(known.str.contains(RESULTS))
    return Found(bad.len(), known.len(), [Place(value=n) for n in bad]) if bad.len() else None


@kind(
    "telling_past",
    "NOTE",
    looks_at="covariates",
    says="past covariates nearly equal the sales of their period",
    unit="covariates",
    why="They add nothing that the sales' own past does not say.",
    does="nothing",
)
def telling_past(view: View) -> Found | None:
    """Correlation of almost one."""
    assert view.panel is not None
    names = [n for n, (a, _) in _correlations(view).items() if view.panel.covariates[n] == "past" and abs(a) >= DETERMINED]
    return Found(len(names), _count(view.panel, "past"), [Place(value=n) for n in names]) if names else None


@kind(
    "missing_future",
    "ERROR",
    looks_at="covariates",
    says="future rows of known covariates are missing within the horizon",
    unit="rows",
    why="What is said to be known ahead must be given for every period to forecast.",
    does="nothing; give these rows, forecast fewer periods, or declare the covariate past",
)
def missing_future(view: View) -> Found | None:
    """Series and periods of the horizon for which no source has a row."""
    panel = view.panel
    assert panel is not None
    known = [n for n, k in panel.covariates.items() if k == "known"]
    if not known or view.horizon < 1:
        return None
    sold = view.judged["sold"].to_numpy()
    if not sold.any():
        return None
    panel = panel if sold.all() else panel.select(sold)  # what is withdrawn is not forecast and needs no future
    count = 0
    places: list[Place] = []
    wanted = np.arange(panel.cutoff + 1, panel.cutoff + view.horizon + 1)
    for name in known:
        lacking = ~panel.given(name, view.horizon)
        if not lacking.any():
            continue
        count += int(lacking.sum())
        if len(places) < SHOWN:
            i, h = np.argwhere(lacking)[0]
            who = panel.series.row(int(i), named=True)
            places.append(Place(item=who[ITEM], location=who[LOCATION], date=panel.frequency.date(int(wanted[h])), value=name))
    return Found(count, len(known) * len(panel) * view.horizon, places) if count else None



@kind(
    "null_covariates",
    "NOTE",
    looks_at="covariates",
    says="values of known covariates are empty in rows that are there",
    unit="values",
    why="Given but unknown: models take them as not known, which is less than they could have.",
    does="they stay unknown",
)
def null_covariates(view: View) -> Found | None:
    """Nulls and nans in the rows and tables of known covariates."""
    panel = view.panel
    assert panel is not None
    count, of, places = 0, 0, []
    for name, sort in panel.covariates.items():
        if sort != "known":
            continue
        for frame in (panel.rows, *(t.frame for t in panel.tables)):
            if name in frame.columns:
                column = frame[name]
                empty = column.null_count() + (int(column.is_nan().sum()) if column.dtype.is_float() else 0)
                of += column.len()
                if empty:
                    count += empty
                    places.append(Place(value=f"{name}: {empty:,} of {column.len():,}"))
    texts = [n for n in panel.categories if panel.covariates[n] == "known"]
    if count and len(places) == 1 and texts and places[0].value and places[0].value.startswith(tuple(texts)):
        return None  # a column of event names is empty on all ordinary days
    return Found(count, of, places) if count else None


@kind(
    "constant_covariates",
    "NOTE",
    looks_at="covariates",
    says="covariates never change",
    unit="covariates",
    why="A column that is the same everywhere explains nothing.",
    does="nothing",
)
def constant_covariates(view: View) -> Found | None:
    """One value in all rows."""
    panel = view.panel
    assert panel is not None
    frames = [panel.rows, *(t.frame for t in panel.tables), *(f for f in (panel.items, panel.places) if f is not None)]
    same = []
    for name in panel.covariates:
        columns = [f[name] for f in frames if name in f.columns]
        if (
            sum(c.len() for c in columns) > 1
            and pl.concat([c.drop_nulls().unique().cast(pl.String) for c in columns]).n_unique() <= 1
        ):
            same.append(name)
    return Found(len(same), len(panel.covariates), [Place(value=n) for n in same]) if same else None


@kind(
    "unmatched_covariates",
    "WARNING",
    looks_at="covariates",
    says="series have no row in a covariate file",
    unit="series",
    why="Its values are not known for them: a typing difference in the names, or a file that is not complete.",
    does="they stay unknown",
)
def unmatched_covariates(view: View) -> Found | None:
    """Series whose item or location a table does not have."""
    assert view.panel is not None
    count, places = 0, []
    for table in view.panel.tables:
        keys = [k for k in KEYS if k in table.keys]
        if keys:
            lone = view.panel.series.join(table.frame.select(keys).unique(), on=keys, how="anti", maintain_order="left")
            count += lone.height
            places += [
                Place(item=r[ITEM], location=r[LOCATION], value=", ".join(table.values[:3]))
                for r in lone.head(SHOWN).iter_rows(named=True)
            ]
    return Found(count, len(view.panel) * max(1, len(view.panel.tables)), places) if count else None


@kind(
    "unused_columns",
    "NOTE",
    looks_at="covariates",
    says="columns are not used",
    unit="columns",
    why="Promotions, holidays or prices among them would help, once we are told when they are known.",
    does="they are left out; declare them with --known or --past",
)
def unused_columns(view: View) -> Found | None:
    """As reading told."""
    if view.lines is None or not view.lines.left_out:
        return None
    return Found(
        len(view.lines.left_out), len(view.lines.left_out) + len(view.lines.columns), [Place(value=", ".join(view.lines.left_out))]
    )
