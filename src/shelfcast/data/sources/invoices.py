"""Raw invoice lines, such as Online Retail of the UCI repository: a line for each product of each invoice.

An invoice number that begins with C takes an earlier sale back.
"""

import polars as pl

from shelfcast.data.sources.dialect import Dialect, Names


def _begins_with_c(column: str) -> pl.Expr:
    return pl.col(column).cast(pl.String).str.contains(r"^\s*[Cc]\d").fill_null(False)


def _has_invoice(names: Names) -> bool:
    return "invoiceno" in names or "invoice" in names


def _cancelled(names: Names) -> pl.Expr:
    return _begins_with_c(names["invoiceno"] if "invoiceno" in names else names["invoice"])


LINES = Dialect(
    name="invoices",
    title="raw invoice lines (Online Retail)",
    signature=("stockcode", "quantity", "invoicedate"),
    also=_has_invoice,
    roles={"item": "stockcode", "date": "invoicedate", "sales": "quantity", "price": "unitprice"},
    shape="transactions",
    cancelled=_cancelled,
    notes=("Invoice numbers that begin with C are cancellations.",),
)
SECOND = Dialect(  # Online Retail II calls the price `Price`
    name="invoices",
    title="raw invoice lines (Online Retail II)",
    signature=("stockcode", "quantity", "invoicedate", "price"),
    also=_has_invoice,
    roles={"item": "stockcode", "date": "invoicedate", "sales": "quantity", "price": "price"},
    shape="transactions",
    cancelled=_cancelled,
    notes=("Invoice numbers that begin with C are cancellations.",),
)
