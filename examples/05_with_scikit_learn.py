"""The habits of scikit-learn: a table X, sales y, a search over settings, windows that never train on the future.

    python examples/05_with_scikit_learn.py

Needs scikit-learn: pip install 'shelfcast[sklearn]'
"""

import polars as pl
from sklearn.model_selection import GridSearchCV

from shelfcast import SalesForecaster, SalesSplit
from shelfcast.world.chain import DEMO, demo_chain

sales = demo_chain(DEMO).sales.select("item", "location", "date", "open", "promo", "price", "sales")
sales = sales.filter(pl.col("item").is_in(sales["item"].unique().sort().head(10).to_list()))
until = sales.filter(pl.col("sales").is_not_null())["date"].max()
past, coming = sales.filter(pl.col("date") <= until), sales.filter(pl.col("date") > until)  # prices and promotions are planned
X, y = past.drop("sales"), past["sales"]

search = GridSearchCV(
    SalesForecaster(closed_when="open"),
    [{"model": ["naive"]}, {"model": ["profile"], "settings__max_rows": [2_000, 20_000]}],
    cv=SalesSplit(horizon=14, windows=2), scoring="neg_mean_absolute_error",
)
search.fit(X, y)
for tried, score in zip(search.cv_results_["params"], search.cv_results_["mean_test_score"], strict=True):
    print(f"{-score:.3f} units of error a day: {tried}")

print("best:", search.best_params_)

ahead = coming.drop("sales")
print(ahead.with_columns(
    pl.Series("expected", search.predict(ahead)),
    pl.Series("nine times in ten at most", search.best_estimator_.predict_quantiles(ahead, [0.9])[:, 0]),
).sort("item", "location", "date").head(7))
