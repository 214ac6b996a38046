"""Stallion: monthly beer volume, in hectolitres, by agency and product."""

from shelfcast.data.sources.dialect import Dialect

SALES = Dialect(
    name="stallion",
    title="Stallion beer volume",
    signature=("agency", "sku", "volume", "date"),
    roles={"location": "agency", "item": "sku", "date": "date", "sales": "volume", "price": "price_actual"},
    shape="series",
    notes=("Sales are volumes in hectolitres.",),
)
