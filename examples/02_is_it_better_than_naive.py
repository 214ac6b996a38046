"""Replay the past: would this model have beaten the seasonal naive forecast?

    python examples/02_is_it_better_than_naive.py
"""

from shelfcast import SalesPanel, make_model
from shelfcast.evaluate.backtest import backtest
from shelfcast.world.chain import DEMO, demo_chain

chain = demo_chain(DEMO)
panel = SalesPanel.from_frame(chain.sales, known=["open", "promo", "price"], closed_when="open")

result = backtest(make_model("profile"), panel, horizon=28, rival=make_model("naive"))
for sentence in result.told:
    print(sentence)
for metric, pair in result.headline().items():
    print(f"{metric:<18} profile {pair['model']:.4f}   naive {pair['rival']:.4f}")
print("by class of demand:")
for group, metrics in result.group_scores("class").items():
    print(f"  {group:<14} WAPE {metrics['WAPE']['model']:.3f} against {metrics['WAPE']['rival']:.3f}")
