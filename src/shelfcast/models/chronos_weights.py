"""The weights of Chronos: which there are, opening a folder or a name on the hub, and what they have seen.

What the published weights have seen (`Traits.trained_on`). Bolt: the data sets "pretraining only" and "in-domain" of table 3 of
arXiv:2403.07815, as its authors say in issue 245 of amazon-science/chronos-forecasting; no retail sales are among them. Chronos-2:
real and simulated series, of which arXiv:2510.15821 tells; the list is not repeated here. The benchmark fev-bench marks neither as
trained on rossmann, walmart, m5, favorita or its other retail tasks. Of a folder nobody can know whether its weights were trained
further: what is said of it is what is published of its kind.
"""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from shelfcast.errors import MissingExtraError, SettingsError, WeightsError, shorten

_HUB_NAME: Final = re.compile(r"[\w.-]+/[\w.-]+")
_CORPUS: Final = (
    "brazilian cities temperature", "electricity", "kdd cup 2018", "london smart meters", "m4 daily", "m4 hourly", "m4 monthly",
    "m4 weekly", "mexico city bikes", "pedestrian counts", "rideshare", "solar", "spanish energy and weather", "taxi",
    "temperature rain", "uber tlc", "ushcn", "weatherbench", "wiki daily", "wind farms")
SEEN: Final = {"bolt": _CORPUS, "2": ("the real series of arXiv:2510.15821",)}
_PIPELINES: Final = {"ChronosBoltPipeline": "bolt", "Chronos2Pipeline": "2"}


def announced_kind(weights: str | None) -> str:
    """Bolt or 2, by the folder's config.json or by the name; 2 where neither tells, until the weights are opened."""
    if weights is None:
        return "2"
    try:
        config = json.loads((Path(weights).expanduser() / "config.json").read_text(encoding="utf-8"))
        return _PIPELINES.get(config.get("chronos_pipeline_class"), "2")
    except (OSError, ValueError, AttributeError):
        return "bolt" if "bolt" in weights.lower() else "2"


def open_pipeline(weights: str, *, device: str, precision: str) -> tuple[Any, str]:
    """The package's pipeline for a folder or a name on the hub, and its kind.

    Raises
    ------
    MissingExtraError
        If the package or PyTorch is absent.
    WeightsError
        If there are no such weights, they are of another kind or damaged, or could not be fetched.
    """
    try:
        import torch
        from chronos import BaseChronosPipeline
    except ImportError as error:
        if (error.name or "").partition(".")[0] not in ("torch", "chronos"):
            raise
        raise MissingExtraError("The model 'chronos'", "chronos", (error.name or "chronos").partition(".")[0]) from error
    advice = "Give a folder that holds config.json and model.safetensors (weights=FOLDER)."
    folder = Path(weights).expanduser()
    if not folder.is_dir() and not _HUB_NAME.fullmatch(weights):
        raise WeightsError(f"There is no folder {shorten(weights)!r}, so no weights of Chronos. {advice}")
    if (folder / "adapter_config.json").is_file():
        raise WeightsError(f"{shorten(weights)!r} holds an adapter and not whole weights; merge it into them "
                           f"(merge_and_unload) and save the whole. {advice}")
    try:
        with quietly():  # files that run code when they are opened are not opened
            pipeline = BaseChronosPipeline.from_pretrained(str(folder) if folder.is_dir() else weights, dtype=torch.float32,
                                                           use_safetensors=True)
        lacking = _lacking(pipeline.model, folder) if folder.is_dir() else []
    except Exception as error:  # whatever the hub, the file system or the package says of weights that it cannot open
        what = "cannot be opened" if folder.is_dir() else "are no folder here and could not be fetched from the hub"
        raise WeightsError(f"The weights {shorten(weights)!r} {what}: {shorten(error, 200)} {advice}") from error
    kind = _PIPELINES.get(type(pipeline).__name__)
    if kind is None:
        raise WeightsError(f"{shorten(weights)!r} is a {type(pipeline).__name__}; only Chronos-Bolt and Chronos-2 are run here.")
    if lacking:
        raise WeightsError(f"The weights {shorten(weights)!r} lack {len(lacking):,} parts, the first {lacking[0]!r}: the file is "
                           f"not whole. {advice}")
    try:
        pipeline.model.to(device=device, dtype=getattr(torch, precision))
    except (RuntimeError, AssertionError) as error:
        raise SettingsError(f"device is {shorten(repr(device))}, which PyTorch cannot use here: {shorten(error, 120)}") from error
    return pipeline, kind


@contextmanager
def quietly() -> Iterator[None]:
    """Without the bars that transformers draws whether or not a person watches; as it was afterwards."""
    from transformers.utils import logging as talk

    shown = talk.is_progress_bar_enabled()
    talk.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            talk.enable_progress_bar()


def _lacking(network: Any, folder: Path) -> list[str]:
    """Parameters that no file of a folder holds: the package would fill them with random numbers and say so in a log alone."""
    from safetensors import safe_open

    held: set[str] = set()
    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(file, framework="numpy") as opened:
            held.update(opened.keys())
    return [name for name, _ in network.named_parameters() if name not in held]
