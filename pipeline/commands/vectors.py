"""The command `hormesis vectors`: a checkpoint's steering as one safetensors file for other programs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hormesis.db.location import database_url, home

if TYPE_CHECKING:
    from hormesis.backend.model.directions import HeadDirection
    from hormesis.pipeline.execution.context import StudyContext


def vectors(
    *,
    checkpoint: Annotated[str, typer.Argument(help="Name of a checkpoint, e.g. toxic-10-s0.")],
    file: Annotated[Path, typer.Argument(help="New safetensors file to write.")],
    method: Annotated[
        str, typer.Option("--method", help="Directions: mass_mean, probe, second, random-0 …")
    ] = "mass_mean",
    heads: Annotated[
        int | None, typer.Option("--heads", min=1, help="So many best heads; default: the selected ones.")
    ] = None,
    strength: Annotated[float, typer.Option("--strength", help="Sigmas away from toxicity.")] = 2.0,
    condition: Annotated[
        str | None, typer.Option("--condition", help="A steered condition of the study instead.")
    ] = None,
) -> None:
    """Write what steering adds, per head and per layer, for programs that steer by adding to activations."""
    n_heads = write_file(checkpoint, file, method, heads=heads, strength=strength, condition=condition)
    sys.stderr.write(f"{file}: {n_heads} heads of {checkpoint}, {file.stat().st_size / 1e3:.1f} kB\n")


def write_file(
    name: str, file: Path, method: str, *, heads: int | None, strength: float, condition: str | None
) -> int:
    """Write the vectors of checkpoint `name`; returns the number of heads that they move.

    A condition's own directions, strength and (tuned) weights stand for `method` and `strength`. Raises
    NoSuchCheckpoint, NoSuchCondition, NoDirections, PaneProblem where fewer heads were probed, VectorsError
    where the file exists, the condition steers nothing, or nothing would be shifted.
    """
    # Imported here, or every command would wait for torch.
    from hormesis.backend.model.vectors import VectorsError, write_vectors
    from hormesis.pipeline.commands.save import find_checkpoint
    from hormesis.pipeline.execution.provenance import packages
    from hormesis.pipeline.methods.condition import DetoxCondition, read_condition
    from hormesis.pipeline.methods.open_condition import open_tuned

    context, checkpoint_id = find_checkpoint(name, home(), database_url())
    chosen = DetoxCondition("", "iti", direction=method, strength=strength)
    if condition is not None:
        chosen = read_condition(context, checkpoint_id, condition)
    if chosen.direction is None:
        raise VectorsError(f"condition '{condition}' steers nothing, so it has no vectors")
    metadata = {
        "checkpoint": name,
        "study": f"{context.config.name} {context.config.hash}",
        "method": chosen.direction,
        "condition": condition or "",
        "prefix": chosen.prefix,
        "scope": context.config.steering.scope,
        "hormesis": packages().get("hormesis", ""),
    }
    directions = _directions(context, checkpoint_id, chosen.direction, heads=heads)
    loaded = open_tuned(context, checkpoint_id, chosen)
    write_vectors(loaded, directions, chosen.strength, path=file, metadata=metadata)
    return len(directions)


def _directions(
    context: StudyContext, checkpoint_id: int, method: str, *, heads: int | None
) -> list[HeadDirection]:
    """Directions of the selected heads, or of the `heads` (a count) best by rank, then by select accuracy."""
    from hormesis.backend.model.directions import require_directions
    from hormesis.backend.service.ranked_heads import RankedHeads
    from hormesis.pipeline.probing.loading import steering_directions

    if heads is None:
        directions = steering_directions(context, checkpoint_id, method)
    else:
        with context.engine.connect() as connection:
            ranked = RankedHeads.read(connection, checkpoint_id)
            places = ranked.best(heads) if ranked is not None else []
            stored = ranked.directions(connection, method, places) if ranked is not None else {}
        directions = [stored[place] for place in places if place in stored]
    require_directions(directions, method)
    return directions
