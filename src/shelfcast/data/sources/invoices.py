"""Raw invoice lines, such as Online Retail of the UCI repository: a line for each product of each invoice.

An invoice number that begins with C takes an earlier sale back. Stock codes without a product's five digits are postage, fees,
vouchers and bookkeeping. Online Retail II is a workbook of two sheets, or one table that holds both: the first nine days of
December 2010 are at the end of the first and again at the beginning of the second.
"""

from datetime import date
from typing import Final

import polars as pl

from shelfcast.data.sources.bundle import Bundle, File, Frames, Piece, as_day, column
from shelfcast.data.sources.dialect import Dialect, Names
from shelfcast.periods import Frequency

_SERVICES: Final = (r"(?i)^\s*(POST|DOT|M|C2|C3|D|S|B|CRUK|BANK CHARGES|AMAZONFEE|ADJUST\d?|TEST\d+|GIFT|SP1002"
                    r"|gift_\d+_\d+)\s*$")


def _begins_with_c(column: str) -> pl.Expr:
    return pl.col(column).cast(pl.String).str.contains(r"^\s*[Cc]\d").fill_null(False)


def _has_invoice(names: Names) -> bool:
    return "invoiceno" in names or "invoice" in names


def _cancelled(names: Names) -> pl.Expr:
    return _begins_with_c(names["invoiceno"] if "invoiceno" in names else names["invoice"])


def _service(names: Names) -> pl.Expr:
    return pl.col(names["stockcode"]).cast(pl.String).str.contains(_SERVICES).fill_null(False)


_NOTES: Final = ("Invoice numbers that begin with C are cancellations.",
                 "Stock codes such as POST, DOT, M or BANK CHARGES are postage, fees and bookkeeping, not products.")

LINES = Dialect(
    name="invoices",
    title="raw invoice lines (Online Retail)",
    signature=("stockcode", "quantity", "invoicedate"),
    also=_has_invoice,
    roles={"item": "stockcode", "date": "invoicedate", "sales": "quantity", "price": "unitprice"},
    shape="transactions",
    cancelled=_cancelled,
    service=_service,
    notes=_NOTES,
)


def _without_overlap(frame: pl.LazyFrame, names: Names, freq: Frequency | None) -> pl.LazyFrame:  # noqa: ARG001
    """The days of December 2010 that both halves of Online Retail II hold are taken from the second; all else stays as it is."""
    day = as_day(frame, names["invoicedate"])
    place = pl.int_range(pl.len()).alias(_AT)
    back = (day == _AGAIN) & day.shift(1).is_between(_AGAIN, _ENDS, closed="right")
    found = frame.select(place, back.alias("back")).filter("back").collect()
    if found.height != 1:
        return frame
    numbered, later = frame.with_columns(place), pl.col(_AT) >= found[_AT][0]
    halves = numbered.select(day.filter(~later).max().alias("last"), day.filter(later).min().alias("first")).collect().row(0)
    if halves[0] > _ENDS or halves[1] < _AGAIN:  # in another order, or of another shop
        return frame
    return numbered.filter(later | (day < _AGAIN)).drop(_AT)


_AT: Final = "__place__"
_AGAIN, _ENDS = date(2010, 12, 1), date(2010, 12, 10)  # the second half begins; the first ends
SECOND = Dialect(  # Online Retail II calls the price `Price`
    name="invoices",
    title="raw invoice lines (Online Retail II)",
    signature=("stockcode", "quantity", "invoicedate", "price"),
    also=_has_invoice,
    roles={"item": "stockcode", "date": "invoicedate", "sales": "quantity", "price": "price"},
    shape="transactions",
    cancelled=_cancelled,
    service=_service,
    sheets=True,
    adapt=_without_overlap,
    notes=_NOTES,
)


def _products(frames: Frames) -> pl.LazyFrame:
    """The description of each stock code that most lines have; remarks in small letters (`damaged`, `found`) are passed over."""
    sales = frames[_SALES]
    code, words = column(sales, "stockcode"), column(sales, "description")
    text = pl.col(words).cast(pl.String).str.strip_chars()
    lines = sales.select(pl.col(code), text.alias("Description")).filter(text.str.to_uppercase() == text, text != "")
    counted = lines.group_by(code, "Description").len().sort("len", "Description", descending=[True, False])
    return counted.unique(subset=code, keep="first", maintain_order=True).select(code, "Description")


_SALES: Final = "Online Retail.xlsx"
BUNDLE = Bundle(
    name="online retail",
    title="Online Retail (I or II)",
    origin="the UCI Machine Learning Repository (data sets 'Online Retail' and 'Online Retail II')",
    sales=_SALES,
    dialects=(SECOND, LINES),
    files=(
        File(name=_SALES, holds="invoice lines; Online Retail II is called online_retail_II.xlsx or .csv",
             also=("online_retail_ii", "online retail ii", "online_retail", "onlineretail", "transactions", "data",
                   "year 2009-2010*", "year 2010-2011*"), needed=True),
    ),
    pieces=(
        Piece(use="attributes", of=(_SALES,), says="the usual description of each stock code", keys=("item",), make=_products),
    ),
    notes=(
        "Invoice numbers that begin with C are cancellations: each is matched with its sale, and both are removed.",
        "Stock codes that are no products are left out, and counted: POST, DOT, C2, M, D, S, B, CRUK, BANK CHARGES, AMAZONFEE, "
        "ADJUST, TEST..., gift vouchers. To keep them: `--rule services=keep`.",
        "Negative quantities that cancel nothing are write-offs and counts of stock; they are set apart with the returns.",
        "Both sheets of the workbook of Online Retail II are read; the days of December 2010 that both hold are read once.",
        "There is one place, the web shop. By country: `--columns location=Country`.",
    ),
    example="shelfcast check online-retail/ --freq W",
)
