"""Dominick's Finer Foods, Chicago, 1989 to 1997: weekly movement by store and item (UPC), and orange juice by store and brand.

Weeks are numbers: week 1 begins on Thursday 1989-09-14. In the movement files (`wber.csv` for beer) PRICE is for QTY pieces,
SALE is B, C, S or empty, and OK = 0 marks rows that the archive itself calls suspect. In the orange juice of bayesm `logmove` is
the natural logarithm of the units sold; `price1` to `price11` are the prices per ounce of all brands in that store and week.
"""

from datetime import date
from typing import Final

import polars as pl

from shelfcast.data.sources.bundle import Bundle, File, Frames, Piece, as_number, as_text, plain_names
from shelfcast.data.sources.dialect import Dialect, Names
from shelfcast.periods import Frequency

WEEK_1: Final = date(1989, 9, 14)


def _thursday(week: str) -> pl.Expr:
    """`date`: the first day of a numbered week."""
    number = as_number(week).cast(pl.Int32, strict=False)
    return (pl.lit(WEEK_1) + pl.duration(days=(number - 1) * 7)).cast(pl.Date).alias("date")


def _weeks_and_units(frame: pl.LazyFrame, names: Names, freq: Frequency | None) -> pl.LazyFrame:  # noqa: ARG001
    brand = pl.col(names["brand"])
    own = pl.coalesce(pl.when(brand.cast(pl.Int32, strict=False) == k).then(pl.col(names[f"price{k}"])) for k in range(1, 12)
                      if f"price{k}" in names)
    return frame.with_columns(
        _thursday(names["week"]),
        pl.col(names["logmove"]).cast(pl.Float64, strict=False).exp().round(0).alias("units"),
        own.cast(pl.Float64, strict=False).alias("price"),
    )


SALES = Dialect(
    name="dominicks",
    title="Dominick's orange juice",
    signature=("store", "brand", "week", "logmove", "price1"),
    also=lambda names: not {"date", "units", "price"} & set(names),
    roles={"location": "store", "item": "brand", "date": "date", "sales": "units", "price": "price", "promo": "feat"},
    shape="series",
    adapt=_weeks_and_units,
    notes=("Week 1 begins on Thursday 1989-09-14; sales are exp(logmove), in units; the price is that of the row's own brand.",),
)


def _juice(frame: pl.LazyFrame, names: Names, freq: Frequency | None) -> pl.LazyFrame:  # noqa: ARG001
    return frame.with_columns(_thursday(names["week"]), as_number(names["logmove"]).exp().round(0).alias("units"))


def _movement(frame: pl.LazyFrame, names: Names, freq: Frequency | None) -> pl.LazyFrame:  # noqa: ARG001
    """Units, price a piece, and whether there was a deal; rows that the archive calls suspect say nothing."""
    sure = as_number(names["ok"]).fill_null(1) != 0 if "ok" in names else pl.lit(True)
    pieces, price = as_number(names["qty"]), as_number(names["price"])
    deal = as_text(names["sale"]).fill_null("") != ""
    return frame.with_columns(
        _thursday(names["week"]),
        pl.when(sure).then(as_number(names["move"])).alias("units"),
        pl.when(sure & (pieces > 0) & (price > 0)).then(price / pieces).alias("unit_price"),
        deal.cast(pl.Float64).alias("deal"))


JUICE = Dialect(
    name="dominicks juice",
    title="Dominick's orange juice with one price",
    signature=("store", "brand", "week", "logmove", "price"),
    also=lambda names: not {"date", "units", "price1"} & set(names),
    roles={"location": "store", "item": "brand", "date": "date", "sales": "units", "price": "price", "promo": "feat"},
    shape="series",
    adapt=_juice,
    notes=("Week 1 begins on Thursday 1989-09-14; sales are exp(logmove), in units.",),
)
MOVEMENT = Dialect(
    name="dominicks movement",
    title="Dominick's weekly movement",
    signature=("store", "upc", "week", "move", "qty", "price", "sale"),
    also=lambda names: not {"date", "units", "unit_price", "deal"} & set(names),
    roles={"location": "store", "item": "upc", "date": "date", "sales": "units", "price": "unit_price", "promo": "deal"},
    shape="series",
    adapt=_movement,
    notes=("Week 1 begins on Thursday 1989-09-14; the price is PRICE / QTY; a promotion is any SALE code. Rows with OK = 0 are "
           "suspect, so their sales are taken as not known.",),
)
PRODUCTS = Dialect(name="dominicks products", title="Dominick's products", signature=("com_code", "upc", "descrip"),
                   roles={"item": "upc"})


def _stores(frames: Frames) -> pl.LazyFrame:
    """Stores with their demographics, without the rows that name none."""
    demo = plain_names(frames["demo.csv"])
    return demo.filter(as_number("store").is_not_null()).unique(subset="store", keep="first", maintain_order=True).drop(
        "lat", "long", strict=False)  # these are no degrees


_CODES: Final = "[a-z][a-z0-9][a-z0-9]"
MOVEMENT_BUNDLE = Bundle(
    name="dominicks movement",
    title="Dominick's Finer Foods, weekly movement",
    origin="the Dominick's database of the Kilts Center, University of Chicago",
    sales="wxxx.csv",
    dialects=(MOVEMENT,),
    files=(
        File(name="wxxx.csv", holds="weekly movement of one category, xxx (wber.csv: beer); several categories are read together",
             also=(f"w{_CODES}",), needed=True, many=True),
        File(name="upcxxx.csv", holds="description, size and commodity code of the items of a category", also=(f"upc{_CODES}",),
             many=True, telling=True),
        File(name="demo.csv", holds="demographics of stores"),
        File(name="ccount.csv", holds="customers and sales of departments by store and day"),
    ),
    pieces=(
        Piece(use="attributes", of=("upcxxx.csv",), says="attributes of items", keys=("item",)),
        Piece(use="attributes", of=("demo.csv",), says="demographics of stores", keys=("location",), make=_stores),
    ),
    notes=(
        "Weeks are numbers; week 1 begins on Thursday 1989-09-14, so weeks carry their Thursday (W-THU).",
        "PRICE is for QTY pieces: the price of one is PRICE / QTY. A promotion is any SALE code (B, C, S). The archive warns that "
        "the code is not always set, so that a week without it may have been promoted.",
        "Rows with OK = 0 are suspect, says the archive: their sales are taken as not known.",
    ),
    example="shelfcast check dominicks/ --horizon 4",
)
JUICE_BUNDLE = Bundle(
    name="dominicks",
    title="Dominick's orange juice",
    origin="the R package bayesm (data set orangeJuice: tables yx and storedemo)",
    sales="yx.csv",
    dialects=(SALES,),
    files=(
        File(name="yx.csv", holds="weekly sales by store and brand, with the prices of all brands",
             also=("orangejuice_yx", "orangejuice", "sales"), needed=True),
        File(name="storedemo.csv", holds="demographics of stores", also=("orangejuice_storedemo", "store_demographics"),
             telling=True),
    ),
    pieces=(Piece(use="attributes", of=("storedemo.csv",), says="demographics of stores", keys=("location",)),),
    past=("deal",),
    notes=(
        "Sales are exp(logmove), in ounces sold as the archive counts them; the price is that of the row's own brand, an ounce.",
        "`feat` is the promotion, `deal` a coupon or another deal in the store. Neither is given ahead, so they are seen up to the "
        "cutoff. `profit` is not used.",
        "The prices of the other brands (`price1` to `price11`) can be named: `--known price1,price2`.",
        "The short form with three brands and one column `price` (oj.csv) is recognised too, as a file.",
    ),
    example="shelfcast forecast orange-juice/ --horizon 4",
)
