"""neuralforecast: NHITS and the Temporal Fusion Transformer, global, with the library's multi-quantile loss at the deciles.

Few steps, so that each fits minutes on two cores. Known covariates and static columns go in as numbers: texts with few values as
0/1 columns (event types), texts with many (event names, items) as scaled codes, since a column for each would multiply the work.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from neuralforecast import NeuralForecast
from neuralforecast.common._base_model import BaseModel
from neuralforecast.losses.pytorch import MQLoss
from neuralforecast.models import NHITS, TFT, PatchTST

sys.path.append(str(Path(__file__).resolve().parent.parent))
from exchange import LEVELS, NOTHING, Window, ready, run_peer

HISTORY = {"D": 1096, "W": 260, "M": 120}  # periods of past that are learned from
INPUT = {"D": 84, "W": 52, "M": 24}  # periods that the networks look back
USUAL = {  # settings that fit minutes on two cores
    "nhits": {"max_steps": 800, "learning_rate": 1e-3, "windows_batch_size": 512, "inference_windows_batch_size": 1024,
              "mlp_units": 3 * [[256, 256]]},
    "tft": {"max_steps": 300, "learning_rate": 2e-3, "windows_batch_size": 128, "inference_windows_batch_size": 512,
            "hidden_size": 32, "n_head": 4}}
FEW = 8  # values that a text may have to become 0/1 columns


@dataclass(frozen=True)
class Numbers:
    """Past, future and static tables of numbers under the library's names; names of known covariates and of static columns."""

    past: pd.DataFrame
    future: pd.DataFrame
    static: pd.DataFrame
    known: list[str]
    fixed: list[str]


def numbers(window: Window) -> Numbers:
    """What the library takes of a window."""
    about = window.about
    past, future, static = window.past, window.future, window.static
    known_few = [c for c in about.known if past[c].dtype == object or pd.api.types.is_string_dtype(past[c])]
    few = [c for c in known_few if past[c].nunique() <= FEW]
    both = pd.concat([past[few], future[few]], ignore_index=True).fillna(NOTHING).astype(str)
    dummies = pd.get_dummies(both, dtype="float32") if few else pd.DataFrame(index=both.index)
    dummies = dummies[[c for c in dummies if not c.endswith(f"_{NOTHING}")]]
    tidy = ready(window, texts="codes", history=None)
    known = [c for c in about.known if c not in few]
    dates = pd.concat([past.date, future.date], ignore_index=True)
    cycles = {"D": [("weekday", dates.dt.dayofweek, 7), ("year", dates.dt.dayofyear, 365.25)],
              "W": [("year", dates.dt.dayofyear, 365.25)], "M": [("year", dates.dt.month, 12)]}[about.freq[0]]
    for name, at, length in cycles:
        dummies[f"{name}_sin"], dummies[f"{name}_cos"] = np.sin(2 * np.pi * at / length), np.cos(2 * np.pi * at / length)
    past = pd.concat([tidy.past, dummies.iloc[: len(past)].set_axis(tidy.past.index)], axis=1)
    future = pd.concat([tidy.future, dummies.iloc[len(dates) - len(future):].set_axis(tidy.future.index)], axis=1)
    past = past[past.groupby("id", sort=False).cumcount(ascending=False) < HISTORY[about.freq[0]]]
    names = {"id": "unique_id", "date": "ds"}
    few_static = [c for c in about.static if window.static[c].nunique() <= 12]
    fixed = pd.get_dummies(static[["id", *few_static]].astype(dict.fromkeys(few_static, str)), columns=few_static, dtype="float32")
    for c in about.static:
        if c not in few_static:
            codes = tidy.static[c].to_numpy(float)
            fixed[c] = (codes - codes.mean()) / (codes.std() + 1e-9)
    return Numbers(past.rename(columns=names), future.rename(columns=names), fixed.rename(columns=names),
                   [*known, *dummies.columns], [c for c in fixed if c != "id"])


def network(kind: str, window: Window, names: tuple[list[str], list[str]], *, look: int, **settings: object) -> BaseModel:
    """A network of the library with our window's shape: the deciles, what is known, no talk.

    Parameters
    ----------
    names : known covariates and static columns, which it takes where it can
    look : periods of past that it reads
    """
    kinds = {"nhits": NHITS, "tft": TFT, "patchtst": PatchTST}
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "logger": False, "enable_checkpointing": False,
             "accelerator": "cpu"}
    told = {} if kind == "patchtst" else {"futr_exog_list": names[0] or None, "stat_exog_list": names[1] or None}
    return kinds[kind](h=window.about.horizon, input_size=look, loss=MQLoss(quantiles=list(LEVELS)), scaler_type="standard",
                       start_padding_enabled=True, random_seed=window.about.seed, **told, **quiet, **settings)


def fitted(model: BaseModel, tables: Numbers, window: Window) -> NeuralForecast:
    """The library's engine with a network that has been trained on the window."""
    engine = NeuralForecast(models=[model], freq=window.about.freq)
    engine.fit(tables.past, static_df=tables.static if tables.fixed else None)
    return engine


def deciles(engine: NeuralForecast, tables: Numbers) -> pd.DataFrame:
    """The deciles of a trained engine, in rising order."""
    made = engine.predict(futr_df=tables.future if tables.known else None)
    columns = [c for c in made.columns if c not in ("unique_id", "ds")]
    if len(columns) != len(LEVELS):
        raise ValueError(f"{engine.models[0]} gave the columns {columns}; one for each of {len(LEVELS)} deciles was expected.")
    values = np.sort(made[columns].to_numpy(float), axis=1)
    return pd.concat([made[["unique_id", "ds"]].set_axis(["id", "date"], axis=1),
                      pd.DataFrame(values, columns=[f"q{q:g}" for q in LEVELS], index=made.index)], axis=1)


def forecast(window: Window, kind: str) -> pd.DataFrame:
    """Train one network over all series and give its deciles."""
    torch.set_num_threads(window.about.threads)
    tables = numbers(window)
    look = min(INPUT[window.about.freq[0]], int(tables.past.groupby("unique_id").size().median()) // 2)
    model = network(kind, window, (tables.known, tables.fixed), look=look, batch_size=64, **USUAL[kind])
    return deciles(fitted(model, tables, window), tables)


if __name__ == "__main__":
    run_peer({"nhits": lambda w: forecast(w, "nhits"), "tft": lambda w: forecast(w, "tft")})
