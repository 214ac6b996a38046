"""Rossmann: daily sales of 1,115 drugstores (Kaggle, 2015). Money, not units; one row a store and day, closed days too.

State holidays are written 0, a (public), b (Easter), c (Christmas), and the 0 sometimes as a number. In `test.csv`, which holds the
48 days after the last sale, a store has no `Open` on eleven days; the organisers' answer was that it was open.
"""

from datetime import date
from typing import Final

import polars as pl

from shelfcast.data.sources.bundle import Bundle, File, Frames, Piece, as_day, as_number, as_text, every_day, plain_names
from shelfcast.data.sources.dialect import Dialect, Names
from shelfcast.periods import Frequency

_HOLIDAYS: Final = {"0": "none", "a": "public", "b": "Easter", "c": "Christmas"}
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sept", "Oct", "Nov", "Dec")
_AHEAD: Final = ("Open", "Promo", "SchoolHoliday", "StateHoliday")


def _holidays_in_words(frame: pl.LazyFrame, names: Names, freq: Frequency | None) -> pl.LazyFrame:  # noqa: ARG001
    """Among so many zeros, letters would pass for mistakes in a column of numbers."""
    if "stateholiday" not in names:
        return frame
    kind = pl.col(names["stateholiday"]).cast(pl.String).str.strip_chars()
    return frame.with_columns(kind.replace(_HOLIDAYS).alias(names["stateholiday"]))


def _after_the_last_sale(frame: pl.LazyFrame, names: Names, freq: Frequency | None) -> pl.LazyFrame:
    frame = _holidays_in_words(frame, names, freq)
    return frame.with_columns(as_number(names["open"]).fill_null(1.0).alias(names["open"]))


SALES = Dialect(
    name="rossmann",
    title="Rossmann store sales",
    signature=("store", "date", "sales", "open", "promo"),
    roles={"location": "store", "date": "date", "sales": "sales", "promo": "promo"},
    shape="series",
    adapt=_holidays_in_words,
)
FUTURE = Dialect(
    name="rossmann future",
    title="Rossmann's days after the last sale",
    signature=("store", "date", "open", "promo", "stateholiday"),
    also=lambda names: "sales" not in names,
    roles={"location": "store", "date": "date", "promo": "promo"},
    adapt=_after_the_last_sale,
    notes=("Where test.csv does not say whether a store is open, it is taken to be.",),
)
STORES = Dialect(name="rossmann stores", title="Rossmann stores", signature=("store", "storetype", "assortment"),
                 roles={"location": "store"})


def _running(frames: Frames) -> pl.LazyFrame:
    """By store and day: whether a round of Promo2 has just begun, and whether the competitor is there.

    Promo2 is renewed in the months of PromoInterval, from week Promo2SinceWeek (ISO) of Promo2SinceYear on. A competitor without a
    date has been there all along; without a distance there is none.
    """
    stores = plain_names(frames["store.csv"])
    week, year = as_number("promo2sinceweek").cast(pl.Int32), as_number("promo2sinceyear").cast(pl.Int32)
    monday = (year.cast(pl.String) + "-W" + week.cast(pl.String).str.zfill(2) + "-1").str.to_date("%G-W%V-%u", strict=False)
    opened = pl.date(as_number("competitionopensinceyear").cast(pl.Int32), as_number("competitionopensincemonth").cast(pl.Int32), 1)
    facts = stores.select(
        "store", pl.when(as_number("promo2") == 1).then(monday).alias("since"), as_text("promointerval").alias("months"),
        opened.fill_null(date(1900, 1, 1)).alias("opened"), as_number("competitiondistance").is_not_null().alias("rival"))
    spans = [plain_names(frames[n]).select(as_day(plain_names(frames[n]), "date").alias("date"))
             for n in ("train.csv", "test.csv") if n in frames]
    first, last = pl.concat(spans).select(pl.col("date").min().alias("a"), pl.col("date").max().alias("b")).collect(
        engine="streaming").row(0)
    days = every_day(first, last)
    month = pl.col("date").dt.month().replace_strict(dict(enumerate(_MONTHS, start=1)), return_dtype=pl.String)
    in_round = (pl.col("date") >= pl.col("since")) & pl.col("months").str.contains(month, literal=True)
    return days.join(facts, how="cross").select(
        pl.col("store").alias("Store"), pl.col("date").alias("Date"),
        in_round.fill_null(False).cast(pl.Float64).alias("Promo2Month"),
        (pl.col("rival") & (pl.col("date") >= pl.col("opened"))).cast(pl.Float64).alias("CompetitionOpen"))


BUNDLE = Bundle(
    name="rossmann",
    title="Rossmann Store Sales",
    origin="the Kaggle competition 'Rossmann Store Sales'",
    sales="train.csv",
    dialects=(SALES,),
    files=(
        File(name="train.csv", holds="sales, customers, opening, promotion and holidays by store and day", needed=True),
        File(name="test.csv", holds="opening, promotion and holidays of the 48 days after the last sale"),
        File(name="store.csv", holds="type, assortment, competitor and long promotions of each store"),
        File(name="store_states.csv", holds="the state of each store, as found out by competitors", telling=True),
        File(name="sample_submission.csv", holds="nothing that is used"),
    ),
    known=_AHEAD,
    past=("Customers",),
    pieces=(
        Piece(use="covariates", of=("test.csv",), says="opening, promotion and holidays after the last sale",
              keys=("location", "date"), known=_AHEAD),
        Piece(use="covariates", of=("store.csv", "train.csv", "test.csv"), needs=("store.csv",), keys=("location", "date"),
              says="whether the month begins a round of Promo2, whether the competitor is there",
              known=("Promo2Month", "CompetitionOpen"), make=_running),
        Piece(use="attributes", of=("store.csv",), says="attributes of stores", keys=("location",)),
        Piece(use="attributes", of=("store_states.csv",), says="the state of each store", keys=("location",)),
    ),
    notes=(
        "Sales are money. Closed days are in the file with sales of 0; `Open` says so, and they are taken as closed.",
        "`StateHoliday` becomes none, public, Easter or Christmas: its zeros and letters would be taken for numbers with mistakes.",
        "A store without `Open` in test.csv is taken to be open.",
        "180 stores have no rows in the second half of 2014: nobody knows their sales then.",
    ),
    example="shelfcast forecast rossmann/ --horizon 48",
)
