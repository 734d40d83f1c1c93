"""Where a checkpoint has heads: its attention sites by layer, as its row keeps them, and the words for them.

A model whose attention sites are in under half of its layers is degraded: it can be probed and steered, but
in few places. Layers that mix tokens by linear attention, a state space or a convolution have no site.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple


class SiteShape(NamedTuple):
    """The heads of one layer."""

    layer: int
    n_heads: int
    head_dim: int


def site_shapes(
    *, details: Mapping[str, Any] | None, n_layers: int, n_heads: int, head_dim: int
) -> list[SiteShape]:
    """Sites of a checkpoint from its row; every layer alike where the row does not say more."""
    sites = (details or {}).get("sites") or []
    if all(isinstance(site, Mapping) for site in sites) and sites:
        return [SiteShape(int(site["layer"]), int(site["heads"]), int(site["head_dim"])) for site in sites]
    return [SiteShape(layer, n_heads, head_dim) for layer in range(n_layers)]


def degraded(shapes: Sequence[SiteShape], n_layers: int) -> str:
    """`degraded: 6 of 24 layers have attention sites`; empty for a model that is not."""
    if 2 * len(shapes) >= n_layers:
        return ""
    return f"degraded: {len(shapes)} of {n_layers} layers have attention sites"


def heads_in_words(shapes: Sequence[SiteShape], n_layers: int) -> str:
    """`30 layers of 9 heads, each 64 wide`; `6 of 24 layers, each of 4 to 8 heads, 8 to 16 wide`."""
    heads = _span({shape.n_heads for shape in shapes})
    width = _span({shape.head_dim for shape in shapes})
    if len(shapes) == n_layers:
        return f"{n_layers} layers of {heads} heads, each {width} wide"
    return f"{len(shapes)} of {n_layers} layers, each of {heads} heads, {width} wide"


def _span(values: set[int]) -> str:
    low, high = min(values), max(values)
    return str(low) if low == high else f"{low} to {high}"
