"""Two models over four windows of the past: is one really better, or was it luck?

    python examples/04_is_one_better_than_another.py
"""

from pathlib import Path

from shelfcast import workflow
from shelfcast.settings import BacktestSettings, CompareSettings
from shelfcast.world.chain import DEMO, demo_chain

sales = demo_chain(DEMO).sales
some = sales.filter(sales["item"].is_in(sales["item"].unique().sort().head(12).to_list()))

run = Path("replay")  # scores, losses, forecasts and a page; had this been killed, it would go on from where it was
workflow.backtest(BacktestSettings(sales=some, known=("open", "promo", "price"), horizon=14, windows=4, models=("profile", "naive"),
                                   run=run))
found = workflow.compare(CompareSettings(runs=(run,), report=Path("compared.html")))
print(found.summary["verdict"])
for line in found.summary["measures"]:
    print(f"{line['metric']:<8} {line['a']} {line['score_a']:.4f}   {line['b']} {line['score_b']:.4f}")
