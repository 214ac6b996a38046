"""Recognise columns: which column is the item, the location, the date, the sales.

What the user names is taken. Then the dialects of public data sets and libraries (`sources/`), then common names in English,
German and Chinese. Two columns that could both be one role are an error that lists them and the flag to write.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl

from shelfcast.data.sources import (
    autogluon,
    complete_journey,
    dominicks,
    favorita,
    gluonts,
    instacart,
    invoices,
    iowa,
    m5,
    nixtla,
    olist,
    recruit,
    rossmann,
    stallion,
    store_item,
    walmart,
)
from shelfcast.data.sources.dialect import Dialect, Names
from shelfcast.errors import DataError, SettingsError, UnknownNameError, shorten
from shelfcast.names import AVAILABLE, DATE, ITEM, LATITUDE, LOCATION, LONGITUDE, PRICE, PROMO, ROLES, SALES, STOCK

KNOWN: Final = (m5.WIDE, m5.LONG, rossmann.SALES, walmart.SALES, favorita.ITEMS, favorita.FAMILIES, recruit.VISITS,
                invoices.SECOND, invoices.LINES, iowa.LINES, iowa.STATE, iowa.API, dominicks.SALES, dominicks.JUICE,
                dominicks.MOVEMENT, olist.LINES, olist.ORDER_ITEMS, olist.ORDERS, instacart.ORDERS, instacart.LINES, stallion.SALES,
                complete_journey.BASKETS, store_item.SALES, autogluon.SALES, nixtla.SALES, gluonts.LISTS)
"""Dialects of sales, in the order in which they are tried."""

COMPANIONS: Final = (m5.PRICES, m5.CALENDAR, walmart.FEATURES, walmart.FUTURE, walmart.STORES, rossmann.FUTURE, rossmann.STORES,
                     favorita.FUTURE_ITEMS, favorita.FUTURE_FAMILIES, favorita.STORES, favorita.PRODUCTS, favorita.OIL,
                     favorita.HOLIDAYS, favorita.VISITS, recruit.STORES, recruit.DATES, dominicks.PRODUCTS, iowa.PRODUCTS,
                     iowa.STATE_PRODUCTS, complete_journey.PROMOTIONS, complete_journey.PRODUCTS,
                     autogluon.FUTURE, nixtla.FUTURE, nixtla.STATIC)
"""Dialects of the files that lie beside sales: covariates and attributes."""

# Common names by role, best first; compared without case, blanks, hyphens and underscores. Names within one tuple compete.
_COMMON: Final[Mapping[str, tuple[tuple[str, ...], ...]]] = {
    ITEM: (
        ("item",),
        ("itemid", "itemnbr", "itemno", "itemnr", "itemnumber", "itemcode", "sku", "skuid", "skucode", "product",
         "productid", "productcode",
         "productno", "productsku", "article", "articleid", "articleno", "articlenumber", "artikel",
         "artikelnummer", "artikelnr",
         "artnr", "upc", "ean", "gtin", "stockcode", "material", "materialnumber", "plu", "barcode", "produkt",
         "produktnummer",
         "商品", "商品编号", "商品编码", "商品代码", "商品id", "产品", "产品编号", "产品编码", "货号", "物料",
         "物料编码", "品号", "品项"),
        ("itemname", "productname", "itemdescription", "productdescription", "artikelname", "bezeichnung",
         "artikelbezeichnung",
         "商品名称", "产品名称", "品名"),
        ("family", "dept", "department", "category", "warengruppe", "类别", "品类"),
    ),
    LOCATION: (
        ("location",),
        ("store", "storeid", "storenbr", "storeno", "storenr", "storenumber", "storecode", "shop", "shopid",
         "shopcode", "locationid",
         "locationcode", "outlet", "outletid", "branch", "branchid", "site", "siteid", "warehouse",
         "warehouseid", "plant",
         "filiale", "filialnr", "filialnummer", "filialid", "markt", "marktid", "marktnr", "laden", "standort", "lager",
         "门店", "门店编号", "门店编码", "门店代码", "门店id", "店铺", "店铺编号", "店铺id", "商店", "店号", "仓库", "网点"),
        ("storename", "shopname", "locationname", "filialname", "门店名称", "店铺名称"),
    ),
    DATE: (
        ("date", "ds"),
        ("timestamp", "datetime", "day", "saledate", "salesdate", "orderdate", "transactiondate",
         "invoicedate", "businessdate",
         "postingdate", "receiptdate", "datum", "verkaufsdatum", "buchungsdatum", "belegdatum", "rechnungsdatum", "tag",
         "日期", "销售日期", "交易日期", "订单日期", "营业日期", "时间"),
        ("week", "weekstart", "weekstarting", "weekbeginning", "weekending", "weekend", "weekdate", "month",
         "monthstart", "period",
         "time", "yearweek", "yearmonth", "woche", "kalenderwoche", "monat", "周", "月份", "年月"),
    ),
    SALES: (
        ("sales", "units", "qty", "quantity", "unitsales", "salesunits", "unitssold", "quantitysold", "qtysold",
         "salesqty", "soldqty",
         "salesquantity", "sold", "demand", "volume", "y", "target", "bottles", "pieces", "pcs", "itemcntday",
         "cnt", "menge",
         "absatz", "absatzmenge", "verkaufsmenge", "verkaufteeinheiten", "verkauf", "verkäufe", "stück", "stueck",
         "stückzahl", "anzahl",
         "销量", "销售量", "数量", "销售数量", "件数", "销售件数"),
        ("revenue", "turnover", "amount", "salesamount", "netsales", "grosssales", "totalsales", "weeklysales",
         "dailysales",
         "salesvalue", "dollars", "umsatz", "erlös", "erloes", "nettoumsatz", "bruttoumsatz", "销售额", "销售金额",
         "金额", "营业额"),
    ),
    PRICE: (("price", "sellprice", "unitprice", "sellingprice", "retailprice", "salesprice", "avgprice",
                 "averageprice", "itemprice",
             "preis", "verkaufspreis", "vkpreis", "einzelpreis", "stückpreis", "单价", "价格", "售价", "销售单价", "零售价"),),
    PROMO: (("promo", "promotion", "onpromotion", "onpromo", "ispromo", "ispromotion", "promoflag",
                 "promotionflag", "aktion",
             "werbung", "促销", "是否促销", "活动"),),
    STOCK: (("stock", "inventory", "inventorylevel", "onhand", "stockonhand", "soh", "closingstock",
                 "stocklevel", "bestand",
             "lagerbestand", "endbestand", "库存", "库存量", "期末库存", "现存量"),),
    AVAILABLE: (("available", "availability", "instock", "isavailable", "verfügbar", "verfuegbar",
                 "verfügbarkeit", "有货", "是否有货"),),
    LATITUDE: (("latitude", "lat", "geolat", "geolatitude", "gpslat", "gpslatitude", "storelat", "storelatitude", "shoplat",
                "shoplatitude", "locationlat", "locationlatitude", "decimallatitude", "latitud", "breitengrad",
                "breite", "geobreite", "纬度"), ("y", "ycoord", "ycoordinate")),
    LONGITUDE: (("longitude", "lon", "lng", "long", "geolon", "geolng", "geolong", "geolongitude", "gpslon", "gpslng", "gpslong",
                 "gpslongitude", "storelon", "storelng", "storelong", "storelongitude", "shoplon", "shoplng", "shoplong",
                 "shoplongitude", "locationlon", "locationlng", "locationlong", "locationlongitude", "decimallongitude", "longitud",
                 "längengrad", "laengengrad", "länge", "geolänge", "经度"), ("x", "xcoord", "xcoordinate")),
}
_INVOICE: Final = ("invoiceno", "invoicenumber", "invoiceid", "invoice", "orderid", "orderno", "ordernumber",
             "receiptid", "receiptno",
                   "receipt", "basketid", "ticketid", "ticketno", "transactionid", "billno", "bonnr",
                   "bonnummer", "belegnummer",
                   "rechnungsnummer", "订单号", "订单编号", "小票号", "单号", "流水号")
_OPTIONAL: Final = (PRICE, PROMO, STOCK, AVAILABLE)
_STYLES: Final = ("dmy", "mdy", "ymd", "comma", "point")


@dataclass(frozen=True)
class Given:
    """What the user said about columns.

    Attributes
    ----------
    columns : {role: column}
    styles : {role: dmy, mdy, ymd, comma or point}, where a column was written as `Name:style`
    """

    columns: Mapping[str, str]
    styles: Mapping[str, str]


@dataclass(frozen=True)
class Recognised:
    """Which column plays which role, and sentences that say why."""

    columns: Mapping[str, str]
    told: tuple[str, ...]


def names_of(columns: Iterable[str]) -> Names:
    """{lower-case name: name}; of names that differ by case alone, the first."""
    found: dict[str, str] = {}
    for column in columns:
        found.setdefault(column.strip().lower(), column)
    return found


def given_columns(columns: Mapping[str, str] | None, available: Sequence[str]) -> Given:
    """Check what the user wrote as role=Name, against the columns that are there.

    Raises
    ------
    UnknownNameError
        If a role or a column does not exist.
    SettingsError
        If one column has two roles.
    """
    found: dict[str, str] = {}
    styles: dict[str, str] = {}
    for role, column in (columns or {}).items():
        if role not in ROLES:
            turned = f" Write role=column: {column}={role}." if column in ROLES else ""
            raise UnknownNameError("role", str(role), ROLES, advice=turned.strip())
        name, _, style = str(column).rpartition(":")
        if column not in available and name in available:
            if style not in _STYLES:
                raise UnknownNameError("style of a column", style, _STYLES)
            column = name
            styles[role] = style
        if column not in available:
            raise UnknownNameError("column", str(column), available)
        if column in found.values():
            other = next(r for r, c in found.items() if c == column)
            raise SettingsError(f"The column {shorten(column)!r} is named for both {other} and {role}. A column has one role.")
        found[role] = column
    return Given(found, styles)


def recognise_dialect(columns: Iterable[str], among: Sequence[Dialect] = KNOWN) -> Dialect | None:
    """The first dialect whose signature these columns have."""
    names = names_of(columns)
    return next((d for d in among if d.fits(names)), None)


def recognise_roles(schema: Mapping[str, pl.DataType], *, given: Mapping[str, str], dialect: Dialect | None, source: str,
                    roles: Sequence[str] = ROLES, required: Sequence[str] = (), weak_names: bool = True) -> Recognised:
    """Give each role a column: the user's, the dialect's, or the one with a common name.

    Parameters
    ----------
    schema : {column: type}
    given : {role: column}, from the user
    roles : those to look for
    required : those which must be found
    weak_names : a family, department or category may be the item

    Raises
    ------
    DataError
        If a required role has no column, or item, location, date or sales have several that cannot be told apart.
    """
    chosen = {r: c for r, c in given.items() if r in roles}
    told: list[str] = []
    if dialect is not None:
        names = names_of(schema)
        for role, low in dialect.roles.items():
            if role in roles and role not in chosen and low in names and names[low] not in chosen.values():
                chosen[role] = names[low]
        told.append(f"Columns of {source} recognised as {dialect.title}: {_listed(chosen)}.")
        told += dialect.notes
    by_name: dict[str, str] = {}
    for role in roles:
        if role in chosen or (dialect is not None and role in (ITEM, LOCATION) and role not in required):
            continue
        found = _candidates(role, schema, taken={*chosen.values(), *by_name.values()}, weak_names=weak_names)
        if len(found) == 1:
            by_name[role] = found[0]
        elif found and role in _OPTIONAL:
            told.append(f"Several columns could be the {role}: {', '.join(map(shorten, found))}; none is used. "
                        f"To use one: --columns {role}={found[0]}")
        elif found:
            flags = " or ".join(f"--columns {role}={shorten(c)}" for c in found[:4])
            listed = ", ".join(map(shorten, found[:8]))
            raise DataError(f"{len(found)} columns of {source} could be the {role}: {listed}. Say which: {flags}")
    chosen |= by_name
    if by_name:
        told.append(f"By their names, in {source}: {_listed(by_name)}.")
    for role in required:
        if role not in chosen:
            unfit = next((c for names in _COMMON[role] for c in schema if _key(c) in names and not _may_be(role, schema[c])), None)
            if unfit is not None:
                raise DataError(f"The column {shorten(unfit)!r} of {source} holds values of type {schema[unfit]}, which cannot be "
                                f"the {role}. {_how_to_name(role)}")
            listed = ", ".join(shorten(c, 30) for c in list(schema)[:12])
            raise DataError(f"No column of {source} looks like the {role}. Its columns: {listed}"
                            f"{' ...' if len(schema) > 12 else ''}. {_how_to_name(role)}")
    return Recognised(chosen, tuple(told))


def _how_to_name(role: str) -> str:
    """How the user can say which column it is: coordinates have no flag."""
    return f"Name it: --columns {role}=..." if role in ROLES else f"Call its column {role}."


def invoice_column(columns: Iterable[str]) -> str | None:
    """The column that numbers invoices, orders or receipts, if there is one."""
    return next((c for c in columns if _key(c) in _INVOICE), None)


def _listed(columns: Mapping[str, str]) -> str:
    order = {r: i for i, r in enumerate(ROLES)}
    return ", ".join(f"{r} from {shorten(c, 40)}" for r, c in sorted(columns.items(), key=lambda p: order.get(p[0], 99)))


def _key(name: str) -> str:
    return re.sub(r"[\s_\-./#]+", "", unicodedata.normalize("NFKC", name).lower())


def _candidates(role: str, schema: Mapping[str, pl.DataType], taken: set[str], weak_names: bool) -> list[str]:
    """Columns with the best common names for a role."""
    for names in _COMMON[role]:
        if weak_names is False and names is _COMMON[ITEM][-1]:
            continue
        found = [c for c, t in schema.items() if c not in taken and _key(c) in names and _may_be(role, t)]
        if found:
            return found
    return []


def _may_be(role: str, kind: pl.DataType) -> bool:
    """Whether a column of this type can play the role."""
    if kind.is_nested():
        return False
    if role == DATE:
        return kind != pl.Boolean
    if role in (ITEM, LOCATION):
        return not kind.is_temporal()
    return not kind.is_temporal() and (role in (PROMO, AVAILABLE) or kind != pl.Boolean)
