"""The demo chain is frozen: its settings, its tables, and what it looks like."""

import json
from dataclasses import asdict, fields, replace
from hashlib import sha256

import numpy as np
import polars as pl
import pytest

from shelfcast.errors import SettingsError, UnknownNameError
from shelfcast.names import DATE, ITEM, LOCATION, PRICE, PROMO, SALES, STOCK
from shelfcast.panel import SalesPanel
from shelfcast.world.blueprint import DEMO, ChainSettings, without
from shelfcast.world.chain import demo_chain
from shelfcast.world.tables import KNOWN, PAST, write_chain

SETTINGS_HASH = "ba95b0095ed6bb65"
TABLES_HASH = "238036197b5f7849"
NOTHING = -(2**62)  # stands for null


def settings_hash(settings):
    """Of all settings, by name and value."""
    return sha256(json.dumps(asdict(settings), sort_keys=True, default=str).encode()).hexdigest()[:16]


def tables_hash(chain):
    """Of all tables, truth included; numbers to four decimals, so that the last bits of a machine do not count."""
    seen = sha256()
    named = [("sales", chain.sales), ("places", chain.places), ("items", chain.items)]
    for name, table in named + [(f.name, getattr(chain.truth, f.name)) for f in fields(chain.truth)]:
        for column in table:
            seen.update(f"{name}.{column.name}:{column.dtype}:{len(column)}\n".encode())
            if column.dtype == pl.String:
                seen.update("\n".join(column.fill_null("")).encode())
            else:
                plain = (column.cast(pl.Float64) * 1e4).round() if column.dtype.is_float() else column.to_physical()
                seen.update(plain.cast(pl.Int64).fill_null(NOTHING).to_numpy().astype("<i8").tobytes())
    return seen.hexdigest()[:16]


@pytest.fixture(scope="module")
def chain():
    return demo_chain()


def test_the_settings_of_the_demo_chain_are_frozen():
    assert settings_hash(DEMO) == SETTINGS_HASH, "DEMO has changed: see shelfcast/world/chain.py on how to do that in the open"


def test_the_tables_of_the_demo_chain_are_frozen(chain):
    assert tables_hash(chain) == TABLES_HASH, "a mechanism has changed: see shelfcast/world/chain.py on how to do that in the open"


def test_the_same_seed_gives_the_same_tables_and_another_seed_others():
    small = ChainSettings(seed=5, places=3, items=8, days=200, horizon=14)
    assert tables_hash(demo_chain(small)) == tables_hash(demo_chain(small))
    assert tables_hash(demo_chain(replace(small, seed=6))) != tables_hash(demo_chain(small))


def test_sales_have_one_row_for_each_item_place_and_day_in_order(chain):
    keys = chain.sales.select(ITEM, LOCATION, DATE)
    assert not keys.is_duplicated().any()
    assert keys.equals(keys.sort(ITEM, LOCATION, DATE))


def test_a_planner_would_believe_the_sales(chain):
    history = chain.history.filter(pl.col("open") == 1)
    series = history.group_by(ITEM, LOCATION).agg(
        pl.col(SALES).mean().alias("mean"), (pl.col(SALES) == 0).mean().alias("zeros"))
    low, middle, high = (series["mean"].quantile(q) for q in (0.05, 0.5, 0.95))
    assert 0.1 < low < 1 < middle < 8 < high < 60
    assert 0.1 < (history[SALES] == 0).mean() < 0.4
    days = chain.truth.days.filter(pl.col("sold").is_not_null()).join(
        history.select(ITEM, LOCATION, DATE), on=[ITEM, LOCATION, DATE])
    assert 0.01 < days["stock_out"].mean() < 0.06
    by_weekday = history.group_by(pl.col(DATE).dt.weekday().alias("day")).agg(pl.col(SALES).mean()).sort("day")[SALES].to_numpy()
    assert by_weekday[5] == by_weekday.max() > 1.2 * by_weekday[0]
    promoted = (history.group_by(ITEM, LOCATION).agg(
        pl.col(SALES).filter(pl.col(PROMO) == 1).mean().alias("with"), pl.col(SALES).filter(pl.col(PROMO) == 0).mean().alias("no"))
        .filter(pl.col("no") > 0.5).select((pl.col("with") / pl.col("no")).median()).item())
    assert 1.5 < promoted < 3.0


def test_the_demo_chain_has_new_and_withdrawn_items_and_a_new_place(chain):
    assert chain.items["launched"].count() >= 4
    assert chain.items["withdrawn"].count() >= 4
    assert chain.places["opened"].count() >= 1


def test_the_future_has_known_covariates_and_no_sales(chain):
    future = chain.sales.filter(pl.col(DATE) > chain.cutoff)
    assert future[DATE].n_unique() == DEMO.horizon
    assert all(future[name].null_count() == 0 for name in KNOWN)
    assert all(future[name].null_count() == future.height for name in (SALES, *PAST))


def test_items_have_names_that_differ(chain):
    assert chain.items["name"].is_unique().all()


def test_the_chain_makes_a_panel(chain):
    panel = SalesPanel.from_frame(chain.history.select(ITEM, LOCATION, DATE, SALES))
    assert len(panel) == chain.sales.select(ITEM, LOCATION).n_unique()


def test_a_written_chain_reads_back_the_same(tmp_path):
    small = demo_chain(ChainSettings(places=2, items=6, days=120, horizon=7))
    write_chain(small, tmp_path / "chain")
    assert pl.read_parquet(tmp_path / "chain" / "sales.parquet").equals(small.sales)
    assert pl.read_parquet(tmp_path / "chain" / "truth" / "days.parquet").equals(small.truth.days)
    assert pl.read_csv(tmp_path / "chain" / "places.csv").height == 2


def test_prices_are_cents_and_stock_is_whole(chain):
    cents = chain.sales[PRICE].to_numpy() * 100
    assert np.abs(cents - np.round(cents)).max() < 1e-6
    assert chain.history[STOCK].min() >= 0


def test_an_empty_chain_is_refused():
    with pytest.raises(SettingsError, match="places = 0"):
        ChainSettings(places=0)
    with pytest.raises(SettingsError, match="-1"):
        ChainSettings(horizon=-1)
    with pytest.raises(SettingsError, match="department"):
        ChainSettings(departments=())


def test_a_mechanism_that_does_not_exist_is_named():
    with pytest.raises(UnknownNameError, match="weahter"):
        without(DEMO, "weahter")
