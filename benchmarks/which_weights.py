"""Which pretrained weights a figure is of, in words that fit into a row: their name, and how the hash of their network begins."""

from pathlib import Path

from shelfcast.models.pretrained import GRAPH, read_weights

USUAL = "tiny"


def stamp(weights: str | Path = USUAL) -> str:
    """The name of weights in the box, or of their folder, and eight digits of their hash: `tiny 1a2b3c4d`."""
    found = read_weights(weights)
    return f"{found.folder.name} {found.card['files'][GRAPH][:8]}"
