"""The Complete Journey: grocery baskets of households over 53 weeks of 2017 (dunnhumby).

Time stamps are seconds since 1970 in UTC; the shops are on Eastern time. Week 1 is the single day 2017-01-01,
later weeks begin on Mondays.
"""

from datetime import date
from typing import Final

import polars as pl

from shelfcast.data.sources.bundle import Bundle, File, Frames, Piece, as_text, column
from shelfcast.data.sources.dialect import Dialect, Names
from shelfcast.periods import Frequency

_ZONE: Final = "America/New_York"  # weeks change at 4 or 5 o'clock UTC in the data, which is midnight there
_WEEK_1: Final = date(2016, 12, 26)  # the Monday of the week that holds 2017-01-01


def _local_time(frame: pl.LazyFrame, names: Names, freq: Frequency | None) -> pl.LazyFrame:  # noqa: ARG001
    seconds = pl.col(names["transaction_timestamp"]).cast(pl.Float64, strict=False).cast(pl.Int64)
    local = pl.from_epoch(seconds, time_unit="s").dt.replace_time_zone("UTC").dt.convert_time_zone(_ZONE).dt.replace_time_zone(None)
    units, money = (pl.col(names[c]).cast(pl.Float64, strict=False) for c in ("quantity", "sales_value"))
    return frame.with_columns(local.alias("date"), pl.when(units > 0).then(money / units).alias("price"))


def _week_to_days(frame: pl.LazyFrame, names: Names, freq: Frequency | None) -> pl.LazyFrame:  # noqa: ARG001
    monday = (pl.lit(_WEEK_1) + pl.duration(days=(pl.col(names["week"]).cast(pl.Int32, strict=False) - 1) * 7)).cast(pl.Date)
    return frame.with_columns(pl.concat_list([monday + pl.duration(days=k) for k in range(7)]).alias("date")).explode("date")


BASKETS = Dialect(
    name="complete journey",
    title="Complete Journey baskets",
    signature=("store_id", "basket_id", "product_id", "quantity", "sales_value", "transaction_timestamp"),
    roles={"location": "store_id", "item": "product_id", "date": "date", "sales": "quantity", "price": "price"},
    shape="transactions",
    adapt=_local_time,
    notes=("transaction_timestamp is seconds since 1970; dates are Eastern time. The price is sales_value / quantity.",),
)
PROMOTIONS = Dialect(
    name="complete journey promotions",
    title="Complete Journey promotions",
    signature=("product_id", "store_id", "display_location", "mailer_location", "week"),
    roles={"location": "store_id", "item": "product_id", "date": "date"},
    adapt=_week_to_days,
    notes=("Each week became its seven days; week 2 begins on Monday 2017-01-02.",),
)
PRODUCTS = Dialect(name="complete journey products", title="Complete Journey products",
                   signature=("product_id", "manufacturer_id", "product_category", "product_type"), roles={"item": "product_id"})


def _promoted(frames: Frames) -> pl.LazyFrame:
    """Promotions of what was sold somewhere: those of all 20 million products, stores and weeks would not fit, as days."""
    sales, promotions = frames["transactions.csv"], frames["promotions.csv"]
    keys = ("product_id", "store_id")
    return promotions.join(sales.select(as_text(column(sales, k)).alias(k) for k in keys).unique(), how="semi",
                           left_on=[as_text(column(promotions, k)) for k in keys], right_on=[pl.col(k) for k in keys])


BUNDLE = Bundle(
    name="complete journey",
    title="The Complete Journey",
    origin="the R package completejourney (dunnhumby), tables written to files under their names",
    sales="transactions.csv",
    dialects=(BASKETS,),
    files=(
        File(name="transactions.csv", holds="lines of baskets", also=("transactions_sample", "transactions*"), needed=True),
        File(name="products.csv", holds="department, category, type, brand and size of products"),
        File(name="promotions.csv", holds="where a product stood and lay in the mailer, by store and week",
             also=("promotions_sample", "promotions*")),
        File(name="demographics.csv", holds="households"),
        File(name="campaigns.csv", holds="which household was in which campaign"),
        File(name="campaign_descriptions.csv", holds="campaigns with their days"),
        File(name="coupons.csv", holds="coupons of a campaign and their products", telling=True),
        File(name="coupon_redemptions.csv", holds="coupons that were used", telling=True),
    ),
    pieces=(
        Piece(use="covariates", of=("promotions.csv", "transactions.csv"), keys=("item", "location", "date"), make=_promoted,
              says="display and mailer, of products and stores with sales", past=("display_location", "mailer_location")),
        Piece(use="attributes", of=("products.csv",), says="attributes of products", keys=("item",)),
    ),
    notes=(
        "Times are Eastern; a line's price is sales_value / quantity. Only some households of a store are there, so that sales are "
        "theirs, not the store's.",
        "`display_location` and `mailer_location` are codes, `0` for neither. A product without a row was in no promotion, or "
        "nobody wrote it down; the codes end with the sales, so they are seen up to the cutoff only.",
        "Households, campaigns and coupons are not used.",
    ),
    example="shelfcast forecast complete_journey/ --freq W --horizon 4 --hierarchy department",
)
