"""A forecast that is larger than one wants to hold: written batch by batch, read as one lazy table."""

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import polars as pl

from shelfcast.files import scratch_folder, whole_file
from shelfcast.forecast import MEAN, Forecast, write_table
from shelfcast.names import DATE, KEYS, quantile_column
from shelfcast.periods import Frequency


class ForecastBatches:
    """Batches of a forecast in a folder of its own, removed at the end of the `with` block.

    Batches are added in the order of their series, so that the whole is sorted by item, location, date.
    """

    def __init__(self) -> None:
        self._folder = scratch_folder()
        self._paths: list[Path] = []
        self.rows = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._folder.cleanup()

    def add(self, forecast: Forecast) -> None:
        """Write one batch."""
        path = Path(self._folder.name) / f"{len(self._paths):06d}.parquet"
        table = forecast.to_frame()
        table.write_parquet(path, compression="lz4")
        self.rows += table.height
        self._paths.append(path)

    def parts(self, frequency: Frequency) -> Iterator[Forecast]:
        """The batches one by one, as they were added."""
        for path in self._paths:
            yield Forecast.from_frame(pl.read_parquet(path), freq=frequency)

    def scan(self, levels: tuple[float, ...] | None = None) -> pl.LazyFrame:
        """All batches as one lazy table, in order; only some of the levels when given."""
        table = pl.scan_parquet(self._paths)
        return table if levels is None else table.select(*KEYS, DATE, MEAN, *map(quantile_column, levels))

    def write(self, target: Path, levels: tuple[float, ...] | None = None) -> None:
        """Write everything to one .parquet or .csv, whole or not at all, without holding it in memory."""
        with whole_file(target) as out:
            if len(self._paths) == 1:
                write_table(self.scan(levels).collect(), out)
            elif target.suffix == ".csv":
                self.scan(levels).sink_csv(out, maintain_order=True)
            else:
                self.scan(levels).sink_parquet(out, maintain_order=True)
