"""shelfcast: from what was sold to what to do next, in money, with proof.

>>> import shelfcast
>>> shelfcast.__version__
'0.1.0'
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# Loaded on first use, so that `import shelfcast` stays light: name -> the module that defines it.
_ADDRESSES = {
    "Forecast": "shelfcast.forecast",
    "SalesForecaster": "shelfcast.models.estimator",
    "SalesPanel": "shelfcast.panel",
    "SalesSplit": "shelfcast.models.estimator_split",
    "check_sales": "shelfcast.data.check",
    "clean_sales": "shelfcast.data.clean",
    "load_model": "shelfcast.models.registry",
    "make_model": "shelfcast.models.registry",
    "read_sales": "shelfcast.data.read",
}

# SalesForecaster and SalesSplit are not among them: `from shelfcast import *` must not need scikit-learn.
__all__ = ["Forecast", "SalesPanel", "check_sales", "clean_sales", "load_model", "make_model", "read_sales"]

if TYPE_CHECKING:
    from shelfcast.data.check import check_sales
    from shelfcast.data.clean import clean_sales
    from shelfcast.data.read import read_sales
    from shelfcast.forecast import Forecast
    from shelfcast.models.estimator import SalesForecaster as SalesForecaster
    from shelfcast.models.estimator_split import SalesSplit as SalesSplit
    from shelfcast.models.registry import load_model, make_model
    from shelfcast.panel import SalesPanel


def __getattr__(name: str) -> Any:
    if name not in _ADDRESSES:
        raise AttributeError(f"module 'shelfcast' has no attribute {name!r}")
    return getattr(import_module(_ADDRESSES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_ADDRESSES])
