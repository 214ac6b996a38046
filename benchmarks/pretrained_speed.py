"""Forecasts a second of pretrained networks on two cores: ours, Chronos-Bolt-tiny and Chronos-2, each at its best.

    python benchmarks/pretrained_speed.py                     a few seconds for each setting
    python benchmarks/pretrained_speed.py --seconds 3 --rounds 9 --append

A forecast is one series: 512 days of context, 64 days ahead, all quantiles that the network says; a promotion and a price known
ahead, weather of the past, sixteen places of each item. Ours and Chronos-2 read these covariates, Bolt-tiny reads the series alone.

Speed does not depend on what weights have learned, so the rivals' are random, in the shapes that were published: Bolt-tiny
8,652,672 parameters (the hub shows 8.65M), Chronos-2 119,477,664. Each is given ready tensors and is run as its authors run it, by
PyTorch in inference mode, at the best of 1 and 2 threads, of batches of 16 to 512 rows (a series of Chronos-2 is four rows, three
of them its covariates) and of float32 and bfloat16, which some processors multiply several times as fast. torch.compile is not
tried: it builds a graph for every shape, which takes longer than the forecasts; the package brings no ONNX graphs. What is timed
ends where the quantiles are in units.

Ours are the weights in the box, `--ours NAME,FOLDER`, or random ones of a size (`--random tiny,small`): by ONNX Runtime, and by
PyTorch in bfloat16 where the tensors lie beside the graph; at the best of 1 and 2 threads and of batches of 16 to 512 series; the
network alone on ready arrays, as the rivals are, and `whole`, from the panel to the forecast. `whole` is measured of Bolt-tiny too,
behind our protocol.

All are then run in turn, round after round, so that what else the machine does falls on all alike; a ratio is that of one round,
and the table says its median and the range over the rounds.
"""

import argparse
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, get_args

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import polars as pl
import torch

from provenance import append_row
from shelfcast.panel import SalesPanel
from shelfcast.periods import Frequency

CONTEXT, HORIZON = 512, 64
ITEMS, PLACES = 32, 16
COVARIATES = 3
BATCHES = (16, 32, 64, 128, 256, 512)
THREADS = (1, 2)
BASE = "chronos-bolt-tiny"
LEVELS_BOLT = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
LEVELS_TWO = [0.01, *(round(0.05 * k, 2) for k in range(1, 20)), 0.99]
ONNX, TORCH, WHOLE = "onnx", "torch bfloat16", "whole, onnx"  # how ours are run
Pass = Callable[[], int]  # one pass through a batch or a panel: how many series were forecast


@dataclass(frozen=True)
class Way:
    """One way to run a contestant: how, for the table, and what makes a pass of it."""

    how: str
    batch: int
    threads: int
    make: Callable[[], Pass]


@dataclass(frozen=True)
class Contestant:
    """A network that is timed. Attributes: its name; number of its parameters; the ways it may be run."""

    name: str
    parameters: int
    ways: tuple[Way, ...]


# -- the rivals -------------------------------------------------------------------------------------------------------


@cache
def bolt_tiny() -> Any:
    """Chronos-Bolt-tiny as published (amazon/chronos-bolt-tiny, from t5-efficient-tiny), random weights."""
    from chronos.chronos_bolt import ChronosBoltModelForForecasting
    from transformers import T5Config

    patches = {"context_length": 2048, "prediction_length": 64, "input_patch_size": 16, "input_patch_stride": 16,
               "quantiles": LEVELS_BOLT, "use_reg_token": True}
    return ChronosBoltModelForForecasting(T5Config(
        d_model=256, d_kv=64, d_ff=1024, num_layers=4, num_decoder_layers=4, num_heads=4, vocab_size=2, reg_token_id=1,
        pad_token_id=0, decoder_start_token_id=0, feed_forward_proj="relu", initializer_factor=0.05, chronos_config=patches,
        architectures=["ChronosBoltModelForForecasting"], chronos_pipeline_class="ChronosBoltPipeline")).eval()


@cache
def chronos_2() -> Any:
    """Chronos-2 as published (amazon/chronos-2), random weights."""
    from chronos.chronos2 import Chronos2Model
    from chronos.chronos2.config import Chronos2CoreConfig

    patches = {"context_length": 8192, "output_patch_size": 16, "input_patch_size": 16, "input_patch_stride": 16,
               "max_output_patches": 64, "quantiles": LEVELS_TWO, "use_reg_token": True, "use_arcsinh": True,
               "time_encoding_scale": 8192}
    return Chronos2Model(Chronos2CoreConfig(
        d_model=768, d_kv=64, d_ff=3072, num_layers=12, num_heads=12, vocab_size=2, reg_token_id=1, pad_token_id=0,
        feed_forward_proj="relu", initializer_factor=0.05, chronos_config=patches)).eval()


def size_of(network: Any) -> int:
    """Parameters of a PyTorch network."""
    return sum(p.numel() for p in network.parameters())


def bolt_pass(batch: int, threads: int, dtype: torch.dtype) -> Pass:
    """Bolt-tiny on a batch of series."""
    context = torch.from_numpy(np.random.default_rng(0).poisson(5, (batch, CONTEXT)).astype(np.float32))

    def once() -> int:
        network = bolt_tiny().to(dtype)
        torch.set_num_threads(threads)
        with torch.inference_mode():
            network(context=context)
        return batch

    return once


def two_pass(batch: int, threads: int, dtype: torch.dtype) -> Pass:
    """Chronos-2 on a batch of rows: series, each with its covariates, their future known of two in three."""
    rng, rows = np.random.default_rng(0), 1 + COVARIATES
    series = batch // rows
    context = torch.from_numpy(rng.poisson(5, (series, rows, CONTEXT)).astype(np.float32)).reshape(-1, CONTEXT)
    ahead = rng.random((series, rows, HORIZON)).astype(np.float32)
    ahead[:, :2] = np.nan  # sales and weather
    future, groups = torch.from_numpy(ahead).reshape(-1, HORIZON), torch.arange(series).repeat_interleave(rows)

    def once() -> int:
        network = chronos_2().to(dtype)
        torch.set_num_threads(threads)
        with torch.inference_mode():
            network(context=context, future_covariates=future, group_ids=groups, num_output_patches=HORIZON // 16)
        return series

    return once


def rivals() -> Iterator[Contestant]:
    """Bolt-tiny and Chronos-2, in all ways that are tried."""
    for name, network, make in ((BASE, bolt_tiny, bolt_pass), ("chronos-2", chronos_2, two_pass)):
        ways = tuple(Way(f"torch {str(dtype).removeprefix('torch.')}", b, t, lambda make=make, b=b, t=t, d=dtype: make(b, t, d))
                     for dtype in (torch.float32, torch.bfloat16) for t in THREADS for b in BATCHES)
        yield Contestant(name, size_of(network()), ways)


def bolt_behind_our_protocol(panel: SalesPanel, folder: Path) -> Contestant:
    """Bolt-tiny from the panel to the forecast."""
    from shelfcast.models.chronos import Chronos, ChronosSettings, Precision
    from shelfcast.models.chronos_weights import quietly

    with quietly():
        bolt_tiny().to(torch.float32).save_pretrained(folder)

    def make(batch: int, threads: int, precision: Precision) -> Pass:
        asked = ChronosSettings(weights=str(folder), context=CONTEXT, batch=batch, threads=threads, precision=precision)
        model = Chronos(asked).fit(panel)
        return lambda: len(model.predict(panel, horizon=HORIZON))

    ways = tuple(Way(f"whole, torch {p}", b, t, lambda b=b, t=t, p=p: make(b, t, p))
                 for p in get_args(Precision) for t in THREADS for b in BATCHES[1::2])
    return Contestant(f"{BASE}, whole", size_of(bolt_tiny()), ways)


# -- ours -------------------------------------------------------------------------------------------------------------


class Recorder:
    """Stands in for the runner of a network and keeps the batches that it was asked."""

    def __init__(self, runner: Any) -> None:
        self.runner, self.batches = runner, []

    def run(self, batch: Any) -> Any:
        """What the runner says."""
        self.batches.append(batch)
        return self.runner.run(batch)


def our_pass(panel: SalesPanel, weights: str, batch: int, threads: int, *, run: str) -> Pass:
    """Ours from the panel to the forecast, or the network alone on the arrays that such a forecast gives it."""
    from shelfcast.models.pretrained import Pretrained, PretrainedSettings

    asked = PretrainedSettings(weights=weights, context=CONTEXT, horizon=HORIZON, series=batch, threads=threads)
    model = Pretrained(asked).fit(panel)
    if run == WHOLE:
        return lambda: len(model.predict(panel, horizon=HORIZON))
    runner = model.runner_
    model.runner_ = recorder = Recorder(runner)  # type: ignore[assignment]
    model.predict(panel, horizon=HORIZON)
    if run == ONNX:
        def once() -> int:
            for one in recorder.batches:
                runner.run(one)
            return len(panel)

        return once
    from shelfcast.models.pretraining import read_network

    network = read_network(model.weights_.folder, model.weights_.card).eval()
    tensors = [one.tensors().inputs() for one in recorder.batches]

    def by_torch() -> int:
        torch.set_num_threads(threads)
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
            for one in tensors:
                network(*one)
        return len(panel)

    return by_torch


def ours(panel: SalesPanel, names: Sequence[str], *, random: bool = False) -> Iterator[Contestant]:
    """The pretrained weights of these names, or of all in the box, each as a network alone and as a whole."""
    try:
        from shelfcast.models.pretrained import TENSORS, boxed, read_weights
    except ImportError:
        return
    for name in names or boxed():
        weights = read_weights(name)
        for run, batches in ((ONNX, BATCHES), (TORCH, BATCHES), (WHOLE, BATCHES[1::2])):
            if run != TORCH or TENSORS in weights.card["files"]:
                ways = tuple(Way(run, b, t, lambda name=name, b=b, t=t, run=run: our_pass(panel, name, b, t, run=run))
                             for t in THREADS for b in batches)
                title = f"{Path(name).name}{' (random)' if random else ''}{', ' + run if run != ONNX else ''}"
                yield Contestant(title, int(weights.card.get("parameters", 0)), ways)


def write_random(size: str, folder: Path) -> str:
    """Weights of a size as they are before training."""
    from shelfcast.models.pretraining import PATCH, new_network, write_weights
    from shelfcast.models.worlds import Drawing, Worlds

    with Worlds(Drawing(seed=0, series=64, patch=PATCH), parts=1, processes=0) as task:
        network = new_network(size, task)
    folder.mkdir()
    write_weights(folder, network, {"size": size})
    return str(folder)


def shop() -> SalesPanel:
    """What ours is asked about: daily counts of 32 items in 16 places each; promotion, price and weather as the file says."""
    rng, n = np.random.default_rng(1), ITEMS * PLACES
    days = CONTEXT + HORIZON
    sales = rng.poisson(6 * np.exp(rng.normal(0, 0.5, (n, 1))), (n, days)).astype(float)
    sales[:, CONTEXT:] = np.nan
    table = pl.DataFrame({
        "item": np.repeat([f"i{k:02}" for k in range(ITEMS)], PLACES * days),
        "period": np.tile(np.arange(days, dtype=np.int32) + 19_000, n),
        "location": np.tile(np.repeat([f"p{k:02}" for k in range(PLACES)], days), ITEMS), "sales": sales.ravel(),
        "promo": (rng.random(n * days) < 0.1).astype(float), "price": rng.choice([1.99, 2.49, 2.99], n * days),
        "weather": rng.normal(15, 5, n * days)})
    return SalesPanel.from_periods(table, Frequency("D"), cutoff=19_000 + CONTEXT - 1,
                                   covariates={"promo": "known", "price": "known", "weather": "past"})


# -- timing -----------------------------------------------------------------------------------------------------------


def rate(once: Pass, seconds: float) -> float:
    """Forecasts a second: passes for that long, one at least."""
    done, began = 0, time.perf_counter()
    while True:
        done += once()
        spent = time.perf_counter() - began
        if spent >= seconds:
            return done / spent


def best(one: Contestant, seconds: float, *, say: bool) -> tuple[Way, Pass]:
    """The fastest way: for each runtime and number of threads, batches grow until a larger one is slower by a twentieth."""
    found: tuple[float, Way, Pass] | None = None
    for key in dict.fromkeys((w.how, w.threads) for w in one.ways):
        top = 0.0
        for way in (w for w in one.ways if (w.how, w.threads) == key):
            once = way.make()
            once()  # the first pass allocates
            speed = rate(once, seconds)
            if say:
                print(f"  {one.name:28} {way.how:22} threads {way.threads}  batch {way.batch:4}  {speed:10.1f}/s", flush=True)
            if found is None or speed > found[0]:
                found = speed, way, once
            top = max(top, speed)
            if speed < 0.95 * top or (found[0] > 2 * top and way.batch > BATCHES[0]):  # falling, or hopeless
                break
    assert found is not None
    return found[1], found[2]


def measured(seconds: float, rounds: int, names: Sequence[str], *, random: Sequence[str] = (), whole: bool = True,
             say: bool = True) -> list[dict[str, object]]:
    """A row for each contestant, the ratios against Bolt-tiny and Chronos-2 of the same round."""
    load = os.getloadavg()[0]
    panel = shop()
    with TemporaryDirectory() as folder:
        drawn = [write_random(size, Path(folder) / size) for size in random]
        everyone = [*rivals(), *([bolt_behind_our_protocol(panel, Path(folder) / "bolt")] if whole else []),
                    *ours(panel, names), *(ours(panel, drawn, random=True) if drawn else ())]
        chosen = [(one, *best(one, seconds / 2, say=say)) for one in everyone]
        speeds = np.empty((rounds, len(chosen)))
        for k in range(rounds):
            for j, (_, _, once) in enumerate(chosen):
                once()  # back into the caches, and into its own dtype
                speeds[k, j] = rate(once, seconds)
    at = {one.name: j for j, (one, _, _) in enumerate(chosen)}
    rows = []
    for j, (one, way, _) in enumerate(chosen):
        row: dict[str, object] = {"network": one.name, "parameters": one.parameters, "run": way.how, "threads": way.threads,
                                  "batch": way.batch, "per_s": round(float(np.median(speeds[:, j])), 1)}
        for rival, word in ((BASE, "bolt"), ("chronos-2", "two")):
            ratio = speeds[:, j] / speeds[:, at[rival]]
            row |= {f"x_{word}": round(float(np.median(ratio)), 2), f"x_{word}_low": round(float(ratio.min()), 2),
                    f"x_{word}_high": round(float(ratio.max()), 2)}
        rows.append({**row, "rounds": rounds, "seconds": seconds, "load": round(load, 1)})
    return rows


def main() -> None:
    """Print the table, and append it where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each measurement in the rounds; half of it in the search")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--ours", default="", help="weights in the box or folders, with commas; all in the box when absent")
    parser.add_argument("--random", default="", help="sizes of ours with random weights, with commas")
    parser.add_argument("--no-whole", action="store_true", help="leave Bolt-tiny behind our protocol out")
    parser.add_argument("--append", action="store_true", help="append to results/pretrained_speed.csv")
    asked = parser.parse_args()
    names, sizes = ([n for n in text.split(",") if n] for text in (asked.ours, asked.random))
    rows = measured(asked.seconds, asked.rounds, names, random=sizes, whole=not asked.no_whole)
    with pl.Config(tbl_rows=-1, tbl_cols=-1, tbl_hide_dataframe_shape=True, tbl_hide_column_data_types=True, tbl_width_chars=160):
        print(pl.DataFrame(rows))
    if not any(str(r["run"]).endswith("onnx") for r in rows):
        print("No pretrained weights of ours are in the box; name a folder (--ours FOLDER) or a size (--random tiny).")
    if asked.append:
        for row in rows:
            append_row("pretrained_speed", row)


if __name__ == "__main__":
    main()
