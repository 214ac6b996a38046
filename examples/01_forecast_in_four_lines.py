"""Read, clean, fit, predict: from a sales file to a forecast in four lines.

    python examples/01_forecast_in_four_lines.py [SALES]

Without a file it draws the demo chain first.
"""

import sys

import polars as pl

from shelfcast import clean_sales, make_model, read_sales
from shelfcast.world.chain import DEMO, demo_chain

sales = sys.argv[1] if len(sys.argv) > 1 else demo_chain(DEMO).sales.select("item", "location", "date", "sales")

panel = clean_sales(read_sales(sales)).panel
model = make_model("profile").fit(panel)
forecast = model.predict(panel, horizon=28)

print(panel)
print(forecast)
print(forecast.to_frame().select("item", "location", "date", "mean", "q0.1", "q0.5", "q0.9").head(7))
print("expected units by day:", forecast.to_frame().group_by("date").agg(pl.col("mean").sum().round(1)).sort("date").head(3))
