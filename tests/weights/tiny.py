"""Tiny random weights of the packages' own classes, in a folder that is gone at the end: models that come without any run offline.

What such a model forecasts is near what its scaling says, the mean of the context; the exams ask nothing that only learned weights
can answer.
"""

import atexit
import shutil
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

BOLT_LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
TWO_LEVELS = (0.01, *(round(0.05 * k, 2) for k in range(1, 20)), 0.99)


def tiny_weights(model: str) -> dict[str, object]:
    """Settings that give a model its tiny weights; none for a model that needs none."""
    if model == "language":
        return {"weights": str(text_folder("bert")), "steps": 4, "context": 28}
    return {"weights": str(chronos_folder("2")), "threads": 1} if model == "chronos" else {}


@cache
def chronos_folder(kind: str, seed: int = 0) -> Path:
    """A folder with weights of Chronos-Bolt (`bolt`) or Chronos-2 (`2`), 16 numbers wide and 1 layer deep."""
    folder = Path(mkdtemp(prefix="shelfcast-weights-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    write_chronos(folder, kind, seed=seed)
    return folder


@cache
def text_folder(kind: str, seed: int = 0) -> Path:
    """A folder with weights of a text model (`bert` or `gpt2`), 16 numbers wide and 2 layers deep."""
    folder = Path(mkdtemp(prefix="shelfcast-weights-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    write_text_model(folder, kind, seed=seed)
    return folder


def write_text_model(folder: Path, kind: str, *, seed: int = 0) -> None:
    """Write config.json and model.safetensors into a folder."""
    import torch
    from transformers import AutoModel, BertConfig, GPT2Config
    from transformers.utils import logging

    config = (BertConfig(hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, vocab_size=40,
                         max_position_embeddings=32) if kind == "bert" else
              GPT2Config(n_embd=16, n_layer=2, n_head=2, n_positions=32, vocab_size=40, bos_token_id=0, eos_token_id=0))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = AutoModel.from_config(config)
    logging.disable_progress_bar()
    network.save_pretrained(folder)


def write_chronos(folder: Path, kind: str, *, seed: int = 0) -> None:
    """Write config.json and model.safetensors into a folder."""
    import torch
    from chronos.chronos2 import Chronos2Model
    from chronos.chronos2.config import Chronos2CoreConfig
    from chronos.chronos_bolt import ChronosBoltModelForForecasting
    from transformers import T5Config
    from transformers.utils import logging

    shape = {"d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 1, "num_heads": 2, "vocab_size": 2, "reg_token_id": 1,
             "pad_token_id": 0, "feed_forward_proj": "relu", "initializer_factor": 0.2}
    patches = {"input_patch_size": 16, "input_patch_stride": 16, "use_reg_token": True}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if kind == "bolt":
            network = ChronosBoltModelForForecasting(T5Config(
                **shape, num_decoder_layers=1, decoder_start_token_id=0, architectures=["ChronosBoltModelForForecasting"],
                chronos_pipeline_class="ChronosBoltPipeline",
                chronos_config={**patches, "context_length": 256, "prediction_length": 16, "quantiles": list(BOLT_LEVELS)}))
        else:
            network = Chronos2Model(Chronos2CoreConfig(
                **shape, architectures=["Chronos2Model"], chronos_pipeline_class="Chronos2Pipeline",
                chronos_config={**patches, "context_length": 256, "output_patch_size": 16, "max_output_patches": 2,
                                "quantiles": list(TWO_LEVELS), "use_arcsinh": True, "time_encoding_scale": 256}))
    logging.disable_progress_bar()
    network.save_pretrained(folder)
