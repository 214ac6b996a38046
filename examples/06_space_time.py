"""One network for all places of a chain: train it, ask it whom it listens to, keep it, and load it again.

    python examples/06_space_time.py

Needs PyTorch to train (pip install 'shelfcast[train]') and not to forecast. The network here is a tiny one. A real one has the
default settings, or comes of `shelfcast fit SALES --places FILE --model spacetime --horizon 28 --run FOLDER`, which goes on where
it was when it is killed, and leaves a page of how it went.
"""

import polars as pl

from shelfcast import SalesPanel, load_model, make_model
from shelfcast.models.registry import save_model
from shelfcast.world.chain import DEMO, demo_chain

chain = demo_chain(DEMO)
some = chain.sales["item"].unique().sort().head(6)
sales = chain.sales.filter(pl.col("item").is_in(some.implode())).select("item", "location", "date", "sales")
panel = SalesPanel.from_frame(sales.drop_nulls("sales"), places=chain.places.select("location", "latitude", "longitude"))

model = make_model("spacetime", {"steps": 80, "width": 16, "heads": 2, "layers": 1, "series": 64, "horizon": 14})
model.fit(panel)  # a bar shows how far it is; fit(panel, folder=...) would go on where it was killed
print("loss by step:", ", ".join(f"{row.step}: {row.loss:.3f}" for row in model.training_.history))

weights = model.place_weights(panel)  # of the other places of the same item, against its own past
print("who listens to others:", weights.group_by("location").agg(pl.col("weight").mean().round(3)).sort("weight", descending=True))

save_model(model, "network", panel=panel)  # weights, an ONNX graph and plain settings: loading them runs no code
forecast = load_model("network", panel=panel).predict(panel, horizon=14)
print(forecast.to_frame().select("item", "location", "date", "mean", "q0.1", "q0.5", "q0.9").head(7))
