"""Steering attention heads by inference-time intervention (ITI, Li et al. 2023, arXiv 2306.03341).

Before the output projection, `x_head += strength * sigma * direction`, here with the sign that leads away
from toxicity; done by forward pre-hooks inside a `with` block. Directions come from the pipeline.

Hooks sit on the model object itself, so two threads must not steer one model at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from hormesis.backend.model.directions import HeadDirection as HeadDirection
from hormesis.backend.model.residual import Move, residual_hooked, stream_width
from hormesis.backend.model.sites import Site
from hormesis.db.contract.methods import SCOPES, Scope

if TYPE_CHECKING:
    from hormesis.backend.model.loaded import LoadedModel, ProjectionHook

Shift = torch.Tensor
"""`(rows, 1, n_heads * head_dim)`, in the model's dtype and on its device."""


class SteeringError(ValueError):
    """An intervention does not fit the model or the batch; one line for the person."""


@dataclass(frozen=True, eq=False)
class Intervention:
    """A constant shift per layer, at strength 1, pointing away from toxicity.

    shifts: layer -> float32 `(n_heads * head_dim,)`, zero outside the chosen heads; n_heads: how many heads
    were chosen; scope: `generated` steers the last prompt token and every token generated after it (the
    states that new tokens are drawn from), `all` steers every position; residual: layer -> float32
    `(hidden_size,)`, added to what the decoder layer gives on.
    """

    shifts: Mapping[int, NDArray[np.float32]]
    n_heads: int
    scope: Scope = "generated"
    residual: Mapping[int, NDArray[np.float32]] = field(default_factory=dict)


RowSteering = tuple[Intervention | None, float]
"""What one row of a batch is put under and how strongly; `(None, 0.0)`, or strength 0, leaves it alone."""
Rows = RowSteering | Sequence[RowSteering]
"""One steering for the whole batch, or one per row."""


def iti(
    sites: Sequence[Site], head_directions: Sequence[HeadDirection], scope: Scope = "generated"
) -> Intervention:
    """Make the intervention that moves heads by `-sigma * vector` for each unit of strength.

    Raises SteeringError where a head does not exist, is named twice, or its vector has the wrong shape, is
    not finite or not of unit length (to 1e-3).
    """
    if scope not in SCOPES:
        raise SteeringError(f"scope must be 'generated' or 'all', not '{scope}'")
    by_layer = {site.layer: site for site in sites}
    shifts: dict[int, NDArray[np.float32]] = {}
    places: set[tuple[int, int]] = set()
    for head in head_directions:
        site = by_layer.get(head.layer)
        if site is None or not 0 <= head.head < site.n_heads:
            raise SteeringError(f"the model has no head {head.head} in layer {head.layer}")
        if (head.layer, head.head) in places:
            raise SteeringError(f"head {head.head} of layer {head.layer} is named twice")
        places.add((head.layer, head.head))
        shift = shifts.setdefault(head.layer, np.zeros(site.width, np.float32))
        start = head.head * site.head_dim
        shift[start : start + site.head_dim] = -head.sigma * _unit_vector(head, site.head_dim)
    return Intervention(shifts, len(places), scope)


def _unit_vector(head: HeadDirection, head_dim: int) -> NDArray[np.float32]:
    vector = np.asarray(head.vector, np.float32)
    subject = f"direction of head {head.head}, layer {head.layer}"
    if vector.shape != (head_dim,):
        raise SteeringError(f"{subject}: shape {vector.shape}, the model needs ({head_dim},)")
    if not (np.isfinite(vector).all() and np.isfinite(head.sigma)):
        raise SteeringError(f"{subject}: not finite")
    if abs(float(np.linalg.norm(vector)) - 1.0) > 1e-3:
        raise SteeringError(f"{subject}: not of unit length")
    return vector


def is_shared(rows: Rows) -> bool:
    """True for one steering meant for the whole batch, False for a sequence of one per row."""
    return isinstance(rows, tuple) and len(rows) == 2 and isinstance(rows[1], int | float)


def per_row(rows: Rows, count: int) -> list[RowSteering]:
    """Spell out one steering per row. Raises SteeringError where the number of rows does not fit."""
    if is_shared(rows):
        return [rows] * count  # type: ignore[list-item]
    steering: list[RowSteering] = list(rows)  # type: ignore[arg-type]
    if len(steering) != count:
        raise SteeringError(f"{len(steering)} rows of steering for {count} texts")
    return steering


def moves_anything(row: RowSteering) -> bool:
    """Whether any shift of a row differs from zero."""
    intervention, strength = row
    if intervention is None or strength == 0.0:
        return False
    return any(np.any(shift) for shift in (*intervention.shifts.values(), *intervention.residual.values()))


def lowest_layer(loaded: LoadedModel, rows: Sequence[RowSteering]) -> int:
    """The lowest decoder layer that any row is steered in; the number of layers where nothing is steered."""
    layers = (
        layer
        for intervention, strength in rows
        if intervention is not None and strength != 0.0
        for layer in (*intervention.shifts, *intervention.residual)
    )
    return min(layers, default=loaded.n_layers)


def steered_positions(row: RowSteering, *, prompt_tokens: int, drawn_tokens: int) -> int:
    """Positions that a row's steering moves while tokens are drawn behind a prompt (end tokens count).

    One for each token drawn; with scope `all` those of the prompt before its last as well.
    """
    intervention, _ = row
    if intervention is None or not moves_anything(row):
        return 0
    return drawn_tokens + (prompt_tokens - 1 if intervention.scope == "all" else 0)


@contextmanager
def steered(loaded: LoadedModel, rows: Rows, *, first: int | Sequence[int] | None = None) -> Iterator[None]:
    """Steer the model inside the `with` block; leave no trace after it, also after an exception.

    rows: one steering for the whole batch (any batch size), or one per row of the batches that follow. A row
    with strength 0 has zeros added and stays bit-identical to the bare model run on the same batch.
    first: position from which on scope `generated` steers, of all rows or of each. At the last of a prompt,
    one teacher-forced pass is steered as decoding token by token is; at 0 every position is steered.

    Without `first`, scope `generated` steers the last position of a pass only, so prompts must be padded on
    the left and read in one pass. Blocks may be nested (shifts add up), and hooks of others stay. Raises
    SteeringError where an intervention does not fit the model, or later, inside the model call, where the
    batch has another number of rows than `rows`.
    """
    steering = per_row(rows, 1 if is_shared(rows) else len(rows))
    count = None if is_shared(rows) else len(steering)
    starts = None if first is None else torch.tensor(first, device=loaded.device).reshape(-1, 1, 1)
    hooks, moves = {}, {}
    for site in loaded.sites:
        head_place = _Place(site.layer, site.width)
        if move := _move(loaded, steering, head_place, count=count, first=starts):
            hooks[site.layer] = _hook(move)
    for layer in range(loaded.n_layers):
        stream_place = _Place(layer, stream_width(loaded), is_residual=True)
        if move := _move(loaded, steering, stream_place, count=count, first=starts):
            moves[layer] = move
    _reject_foreign_layers(loaded, steering)
    with loaded.hooked(hooks), residual_hooked(loaded, moves):
        yield


def _reject_foreign_layers(loaded: LoadedModel, rows: Sequence[RowSteering]) -> None:
    attention_layers = {site.layer for site in loaded.sites}
    for intervention, _ in rows:
        if intervention is None:
            continue
        if foreign := intervention.shifts.keys() - attention_layers:
            raise SteeringError(f"the intervention names layer {min(foreign)}, which has no heads to steer")
        if foreign := intervention.residual.keys() - set(range(loaded.n_layers)):
            raise SteeringError(
                f"the intervention names layer {min(foreign)}, the model has {loaded.n_layers}"
            )


@dataclass(frozen=True)
class _Place:
    """Where activations are moved: the heads' outputs of a layer, or the residual stream behind it."""

    layer: int
    width: int
    is_residual: bool = False

    def shift(self, intervention: Intervention) -> NDArray[np.float32] | None:
        """What an intervention adds here at strength 1; None for nothing."""
        return (intervention.residual if self.is_residual else intervention.shifts).get(self.layer)


def _move(
    loaded: LoadedModel,
    rows: Sequence[RowSteering],
    place: _Place,
    *,
    count: int | None,
    first: torch.Tensor | None,
) -> Move | None:
    """What adds the rows' shifts at one place; None where no row has any.

    count: rows the batch must have; None where one steering serves any batch. first: int64 `(rows, 1, 1)` or
    `(1, 1, 1)`.
    """
    everywhere = first is not None and not bool(first.any())
    last = _shift(loaded, rows, place, in_scope=lambda _: True)
    if last is None:
        return None
    body = _shift(loaded, rows, place, in_scope=lambda scope: everywhere or scope == "all")
    return _adding(last, body, count, first=first)


def _shift(
    loaded: LoadedModel, rows: Sequence[RowSteering], place: _Place, *, in_scope: Callable[[str], bool]
) -> Shift | None:
    """Stack the rows' shifts at one place for the scopes that are `in_scope`; None where no row has any."""
    shifts = np.zeros((len(rows), 1, place.width), np.float32)
    is_steered = False
    for index, (intervention, strength) in enumerate(rows):
        if intervention is None or strength == 0.0 or not in_scope(intervention.scope):
            continue
        if (vector := place.shift(intervention)) is None:
            continue
        shift = np.asarray(vector, np.float32)
        if shift.shape != (place.width,):
            raise SteeringError(f"shift of layer {place.layer} has shape {shift.shape}, not ({place.width},)")
        if not np.isfinite(strength):
            raise SteeringError(f"strength must be a finite number, not {strength}")
        shifts[index, 0] = strength * shift
        is_steered = True
    if not is_steered:
        return None
    return torch.from_numpy(shifts).to(device=loaded.device, dtype=loaded.dtype)


def _adding(last: Shift, body: Shift | None, count: int | None, *, first: torch.Tensor | None) -> Move:
    """A move of `(rows, tokens, width)`: adds `last` to the positions from `first` on, `body` to the others.

    first: None for the last position; count: rows the batch must have, None for any.
    """
    is_uniform = body is not None and torch.equal(body, last)

    def move(x: torch.Tensor) -> torch.Tensor:
        if count is not None and x.shape[0] != count:
            raise SteeringError(f"{count} rows of steering for a batch of {x.shape[0]}")
        if is_uniform or (first is None and x.shape[1] == 1):
            # The cast matters only under autocast, where activations are narrower than weights.
            return x + last.to(x.dtype)
        if first is not None:
            is_before = torch.arange(x.shape[1], device=x.device)[None, :, None] < first
            return x + torch.where(is_before, 0 if body is None else body, last).to(x.dtype)
        output = x.clone() if body is None else x + body.to(x.dtype)
        output[:, -1:] = x[:, -1:] + last.to(x.dtype)
        return output

    return move


def _hook(move: Move) -> ProjectionHook:
    return lambda _, args: (move(args[0]), *args[1:])
