"""The vocabulary: column names, kinds of covariate, and quantile levels.

Imported by every room; imports nothing. A word that two rooms must agree on is written here, once.
"""

from typing import Final, Literal

ITEM: Final = "item"
LOCATION: Final = "location"
DATE: Final = "date"
SALES: Final = "sales"
KEYS: Final = (ITEM, LOCATION)

PRICE: Final = "price"  # money per unit that a customer pays
PROMO: Final = "promo"  # 0 none, 1 promoted; anything between is a share of the period
STOCK: Final = "stock"  # units on hand at the end of the period
AVAILABLE: Final = "available"  # share of the period in which the item could be bought, 0 to 1

ROLES: Final = (ITEM, LOCATION, DATE, SALES, PRICE, PROMO, STOCK, AVAILABLE)
"""The words a user may write left of `=` in `--columns role=Name`."""

LATITUDE: Final = "latitude"
LONGITUDE: Final = "longitude"

WITHDRAWN: Final = "withdrawn"  # attribute of an item or a place: the day on which it was sold for the last time

ALL: Final = "all"
"""The one item of a panel without items; the one location of a panel without locations."""

Kind = Literal["known", "past", "static"]
"""Whether a covariate's future is given (known), seen only up to the cutoff (past), or never changes (static)."""

Absent = Literal["zero", "missing"]
"""What a period without a row means: nothing was sold (summed transactions), or nobody knows (a recorded series)."""

LEVELS: Final = (0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
"""Default quantile levels: the deciles, and the tails that orders need."""


def quantile_column(level: float) -> str:
    """The column that holds a level's quantile.

    >>> quantile_column(0.5), quantile_column(0.975)
    ('q0.5', 'q0.975')
    """
    return f"q{level:g}"
