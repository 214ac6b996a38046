"""What a dialect is: the column names that tell it, and what each of them means.

Each public data set or library has its own file beside this one; its quirks end there.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import polars as pl

from shelfcast.names import Absent
from shelfcast.periods import Frequency

Names = Mapping[str, str]
"""{lower-case name: the name as the source writes it}"""

Adapt = Callable[[pl.LazyFrame, Names, Frequency | None], pl.LazyFrame]


@dataclass(frozen=True, kw_only=True)
class Dialect:
    """How one data set or library names its columns.

    Attributes
    ----------
    name : short, for `SalesLines.dialect`
    title : in words, for the sentence that tells the user
    signature : lower-case column names which must all be there
    roles : {our role: lower-case column name}; a column that is not there is passed over
    also : a further condition on the lower-case names, or None
    shape : transactions or series, or None to look at the data
    absent : what a period without a row means there, or None to look at the data
    adapt : adds or reshapes columns before the roles are read, or None
    cancelled : from the names, an expression that is true where a line takes an earlier sale back, or None
    service : from the names, an expression that is true where a line is no product (postage, fees, adjustments), or None
    styles : {our role: dmy, mdy, ymd, comma or point}, how the source always writes it
    sheets : its workbook goes on in further sheets
    refuse : why sales cannot be made of this table, and what to do, or None
    joined : lower-case name of a column whose ids may be `item/location`, or None
    notes : sentences for the user on what `adapt` and `roles` mean
    """

    name: str
    title: str
    signature: tuple[str, ...]
    roles: Mapping[str, str] = field(default_factory=dict)
    also: Callable[[Names], bool] | None = None
    shape: Literal["transactions", "series"] | None = None
    absent: Absent | None = None
    adapt: Adapt | None = None
    cancelled: Callable[[Names], pl.Expr] | None = None
    service: Callable[[Names], pl.Expr] | None = None
    styles: Mapping[str, str] = field(default_factory=dict)
    sheets: bool = False
    refuse: str | None = None
    joined: str | None = None
    notes: tuple[str, ...] = ()

    def fits(self, names: Names) -> bool:
        """Whether a source with these columns speaks this dialect."""
        return all(s in names for s in self.signature) and (self.also is None or self.also(names))
