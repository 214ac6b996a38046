"""The space-time network on equal terms with networks of others: a budget of seconds, windows counted."""

import sys
from pathlib import Path

from run import deciles, fitted, panel_of

sys.path += [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parents[2])]
from equal import Asked, Fitted, run_equal
from exchange import Window

from shelfcast.nn.batch import INPUTS
from shelfcast.nn.network import SpaceTimeNetwork
from space_runs import settings_from

TEMPORAL = ("transformer", "mlp")


def fit(window: Window, temporal: str, asked: Asked) -> Fitted:
    """Train the network with its defaults, but for the encoder of time and the settings asked for."""
    if asked.parameters is not None:
        raise SystemExit("The others are made as large as this one: leave --parameters out.")
    panel = panel_of(window)
    options = {"context": asked.context, **settings_from(asked.words, "spacetime"), "temporal": temporal, "steps": asked.steps}
    model = fitted(window, panel, "spacetime", options=options)
    return Fitted(model.training_.parameters, model.layout_.context, lambda: deciles(window, panel, model))


if __name__ == "__main__":
    there = INPUTS.index("there")
    run_equal({name: (SpaceTimeNetwork, lambda w, a, name=name: fit(w, name, a)) for name in TEMPORAL},
              windows=lambda given: int(given[there].sum()))
