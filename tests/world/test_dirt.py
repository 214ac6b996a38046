"""A spoilt export: checking finds each kind of dirt, and cleaning gives back nearly what was sold."""

import polars as pl
import pytest

from shelfcast.data.check import check_sales
from shelfcast.data.clean import CleanSettings, clean_sales
from shelfcast.data.read import read_sales
from shelfcast.errors import DataError
from shelfcast.names import DATE, ITEM, LOCATION, SALES
from shelfcast.world.blueprint import ChainSettings
from shelfcast.world.chain import demo_chain
from shelfcast.world.dirt import KINDS, PACK, soil, write_soiled

KNOWN = ("open", "promo", "price", "holiday")


@pytest.fixture(scope="module")
def chain():
    return demo_chain(ChainSettings(seed=4, places=4, items=18, days=500, horizon=28))


@pytest.fixture(scope="module")
def soiled(chain):
    return soil(chain.sales, seed=1)


@pytest.fixture(scope="module")
def lines(soiled, tmp_path_factory):
    file = tmp_path_factory.mktemp("dirt") / "sales.csv"
    write_soiled(soiled, file)
    return read_sales(file, known=KNOWN)


@pytest.fixture(scope="module")
def findings(lines):
    return check_sales(lines, horizon=28)


@pytest.mark.parametrize("kind", KINDS)
def test_checking_finds_each_kind_of_dirt(kind, findings):
    assert findings.named(kind) is not None


def test_what_is_found_is_as_much_as_was_spoilt(findings, soiled):
    spoilt = dict(soiled.marks["kind"].value_counts().iter_rows())
    for kind in ("returns", "zero_prices", "negative_prices", "unparsable_dates", "unparsable_sales", "repeated_keys"):
        assert findings.named(kind).count == spoilt[kind], kind
    assert findings.named("outliers").count >= spoilt["outliers"]


def test_the_change_of_units_is_found_where_it_was_made(findings, soiled):
    jump = soiled.marks.filter(pl.col("kind") == "unit_jumps")
    place = findings.named("unit_jumps").places[0]
    assert (place.item, place.location) == (jump[ITEM][0], jump[LOCATION][0])
    assert place.value == f"divided by {PACK}"
    assert abs((place.date - jump[DATE].max()).days) <= 14


def test_cleaning_gives_back_nearly_what_was_sold(chain, lines, soiled):
    cleaned = clean_sales(lines, settings=CleanSettings(outliers="cap")).panel.to_frame().filter(pl.col(SALES).is_not_null())
    jump = soiled.marks.filter(pl.col("kind") == "unit_jumps").select(ITEM, LOCATION).unique()
    true = chain.history.join(jump, on=[ITEM, LOCATION], how="anti").group_by(ITEM).agg(pl.col(SALES).sum().alias("true"))
    found = (cleaned.join(jump, on=[ITEM, LOCATION], how="anti").group_by(ITEM).agg(pl.col(SALES).sum()))
    both = true.join(found, on=ITEM, how="left")
    assert both[SALES].null_count() == 0
    assert both[SALES].sum() == pytest.approx(both["true"].sum(), rel=0.02)


def test_spelled_names_come_back_to_the_usual_one(chain, lines):
    assert set(clean_sales(lines).panel.series[ITEM]) == set(chain.sales[ITEM])


def test_the_known_future_stays_as_it_was(chain, soiled):
    future = chain.sales.filter(pl.col(DATE) > chain.cutoff)
    text = future.select(pl.col(c).cast(pl.String) for c in future.columns)
    assert soiled.table.join(text, on=[*KNOWN, ITEM, LOCATION, DATE], how="semi").height >= future.height
    assert (soiled.marks[DATE] <= chain.cutoff).all()


def test_every_spoilt_row_is_on_the_list(chain, soiled):
    clean = chain.sales.select(pl.col(c).cast(pl.String) for c in chain.sales.columns)
    differ = [(clean[c].ne_missing(soiled.table[c].head(clean.height))) for c in clean.columns]
    wrong = clean.select(ITEM, LOCATION, DATE).filter(pl.any_horizontal(*differ))
    single = soiled.marks.filter(pl.col("kind") != "repeated_keys")
    assert wrong.height == single.height
    assert wrong.join(single.with_columns(pl.col(DATE).cast(pl.String)), on=[ITEM, LOCATION, DATE], how="anti").is_empty()
    assert soiled.table.height == clean.height + soiled.marks.height - single.height


def test_the_same_seed_spoils_the_same_rows_and_the_input_stays_clean(chain, soiled):
    before = chain.sales.clone()
    assert soil(chain.sales, seed=1).table.equals(soiled.table)
    assert not soil(chain.sales, seed=2).table.equals(soiled.table)
    assert chain.sales.equals(before)


def test_a_chain_that_is_too_short_to_spoil_says_so():
    with pytest.raises(DataError, match="longer chain"):
        soil(demo_chain(ChainSettings(places=2, items=6, days=100, horizon=7)).sales, seed=1)
