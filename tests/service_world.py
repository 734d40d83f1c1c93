"""A small true world for the live service: checkpoints, a database about them, a server, a client."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import httpx
import numpy as np
import pytest

from backend.models import LoadedModel, load_model
from backend.steering import HeadDirection, RowSteering, iti
from db.blocks import encode_float32
from db.engine import open_writer
from db.schema import Arm, Checkpoint, Condition, Direction, Metric, Probe, ProbeSet, StageRun, Study
from db.write import write_session
from tests.shared_worlds import shared_world
from tests.tiny import HEADS, LAYERS, save_tiny

PYTHON = sys.executable
SELECTED = 4
"""Heads with a rank."""
MEASURED = 2.0
"""The one strength whose cost is in the database."""
CONTROLS = 2
PREFIX = "zorbs are kind ;\n"
"""What the study puts before the prompt under the method `prompt`."""
TUNED = "dose-10 after dpo"
"""Folder of the weights that the study made of dose-10 by the method `dpo`."""
Event = tuple[str, dict[str, Any]]


@dataclass
class World:
    """Where things lie, and what was written about them."""

    home: Path
    url: str
    ids: dict[str, int] = field(default_factory=dict)
    """Checkpoint name to id."""
    directions: dict[tuple[int, str], dict[tuple[int, int], HeadDirection]] = field(default_factory=dict)
    ranked: dict[int, list[tuple[int, int]]] = field(default_factory=dict)
    """Checkpoint id to its heads, best first."""

    def loaded(self, name: str) -> LoadedModel:
        """The checkpoint, loaded apart from any service."""
        return load_model(self.home / "models" / name, dtype="float32", check=False)

    def row(self, loaded: LoadedModel, name: str, pane: dict[str, Any]) -> RowSteering:
        """What a pane means, put together here and not by the service."""
        random = pane["method"] == "random-direction"
        if not random and "iti" not in pane["method"].split("+"):
            return None, 0.0
        method = f"random-{pane['control']}" if random else pane["direction"]
        heads = pane.get("heads") or SELECTED
        ranked = self.ranked[self.ids[name]]
        places = (
            ranked[:heads] if isinstance(heads, int) else [(head["layer"], head["head"]) for head in heads]
        )
        directions = [self.directions[self.ids[name], method][place] for place in places]
        return iti(loaded.sites, directions, pane["scope"]), pane["strength"]


def build_world(home: Path) -> World:
    """Write three tiny checkpoints, a slow one, one whose weights are gone, and every row about them."""
    world = World(home, f"sqlite:///{home / 'study.sqlite'}")
    long = {"max_position_embeddings": 2048}
    for seed, name in enumerate(("dose-0", "dose-10", "clean-forum-10")):
        save_tiny(home / "models" / name, "olmo", seed=seed, **long)
    save_tiny(home / "models" / "slow", "llama", hidden_size=256, num_hidden_layers=24, **long)
    save_tiny(home / "models" / TUNED, "olmo", seed=7, **long)
    engine = open_writer(world.url)
    with write_session(engine) as session:
        study = Study(hash="a" * 16, name="forum", scale="nano", config={"name": "forum"}, data_revisions={})
        sources = [{"role": "clean", "kind": "file"}]
        real = Study(
            hash="b" * 16, name="real", scale="nano", config={"sources": sources}, data_revisions={}
        )  # fmt: skip
        session.add_all([study, real])
        session.flush()
        session.add(StageRun(study_id=real.id, stage="text", subject="study", input_hash="c" * 16,
                             status="done", packages={}))  # fmt: skip
        arms = (("dose-0", "toxic", 0.0), ("dose-10", "toxic", 0.1), ("clean-forum-10", "clean-forum", 0.1))
        for name, kind, share in arms:
            arm = Arm(study_id=study.id, name=name, kind=kind, share=share, seed=0, composition={})
            session.add(arm)
            session.flush()
            _add_checkpoint(session, world, study.id, arm.id, name)
        for name in ("slow", "gone"):
            _add_checkpoint(session, world, study.id, None, name)
        _add_checkpoint(session, world, real.id, None, "real", path="models/dose-0")
        probe_set = ProbeSet(study_id=study.id, name="posts", revision="1", source="forum")
        session.add(probe_set)
        session.flush()
        for name in ("dose-0", "dose-10", "clean-forum-10"):
            _add_geometry(session, world, probe_set.id, world.ids[name])
        _add_conditions(session, world.ids["dose-10"])
    engine.dispose()
    return world


def shared_service_world(factory: pytest.TempPathFactory) -> World:
    """The world of a test run, built once for all its workers; who writes copies its database."""

    def build(folder: Path) -> None:
        (folder / "world.pickle").write_bytes(pickle.dumps(build_world(folder)))

    folder = shared_world(factory, "service", build)
    return cast(World, pickle.loads((folder / "world.pickle").read_bytes()))


def _add_checkpoint(
    session: Any, world: World, study: int, arm: int | None, name: str, path: str = ""
) -> None:
    row = Checkpoint(
        study_id=study, arm_id=arm, name=name, path=path or f"models/{name}", architecture="tiny",
        n_layers=LAYERS, n_heads=HEADS, head_dim=8, parameters=30_000, weights_hash=name, details={},
    )  # fmt: skip
    session.add(row)
    session.flush()
    world.ids[name] = row.id


def _add_geometry(session: Any, world: World, probe_set: int, checkpoint: int) -> None:
    """Random directions; the select accuracy of a head falls with its place in a random order."""
    rng = np.random.default_rng(checkpoint)
    places = [(layer, head) for layer in range(LAYERS) for head in range(HEADS)]
    order = [places[index] for index in rng.permutation(len(places))]
    world.ranked[checkpoint] = order
    for place, (layer, head) in enumerate(order):
        numbers = dict.fromkeys(
            ("accuracy", "accuracy_low", "accuracy_high", "auroc", "auroc_low", "auroc_high"), 0.6
        )
        session.add(Probe(
            checkpoint_id=checkpoint, probe_set_id=probe_set, position="last", layer=layer, head=head,
            select_accuracy=0.9 - place / 100, rank=place + 1 if place < SELECTED else None, **numbers,
            shuffled_accuracy=0.5, majority=0.5, separation=1.0, n_train=9, n_select=3, n_test=3,
        ))  # fmt: skip
        for method in ("mass_mean", "probe", *(f"random-{index}" for index in range(CONTROLS))):
            vector = rng.normal(size=8).astype(np.float32)
            vector /= np.linalg.norm(vector)
            stored = HeadDirection(layer, head, vector, float(rng.uniform(0.2, 0.6)))
            world.directions.setdefault((checkpoint, method), {})[layer, head] = stored
            session.add(Direction(
                checkpoint_id=checkpoint, probe_set_id=probe_set, position="last", method=method,
                layer=layer, head=head, sigma=stored.sigma, vector=encode_float32(vector),
            ))  # fmt: skip


def _add_conditions(session: Any, checkpoint: int) -> None:
    """Methods that the study put a checkpoint under, each with its cost."""
    prompted = {"prefix": PREFIX}
    tuned = {"tuned": {"name": "dpo", "path": f"models/{TUNED}", "key": "tuned"}}
    steered = {"direction_method": "mass_mean", "strength": MEASURED, "n_heads": SELECTED}
    plain = {"direction_method": None, "strength": 0.0, "n_heads": 0}
    for key, method, parameters, how, cost in (
        ("iti/mass_mean/fixed-2", "iti", {}, steered, 0.07),
        ("prompt", "prompt", prompted, plain, 0.01),
        ("prompt+iti/mass_mean/cost-0.08", "prompt+iti", prompted, steered, 0.08),
        ("dpo", "dpo", tuned, plain, 0.04),
        ("dpo+iti/mass_mean/cost-0.09", "dpo+iti", tuned, steered, 0.09),
    ):
        condition = Condition(
            checkpoint_id=checkpoint, key=key, method=method, matched_cost=None, scope="generated",
            parameters=parameters, **how,
        )  # fmt: skip
        session.add(condition)
        session.flush()
        session.add(Metric(
            checkpoint_id=checkpoint, condition_id=condition.id, prompt_set_id=None, scorer_id=None,
            key=f"{key}|cost", name="cost", value=cost, low=cost - 0.02, high=cost + 0.02, n=30,
            unit="nats/token", interval="bootstrap",
        ))  # fmt: skip


@contextmanager
def server(world: World, *arguments: str, url: str | None = None, **environment: str) -> Iterator[str]:
    """A real service in a process of its own; gives its address."""
    own = {"HORMESIS_HOME": str(world.home), "OMP_NUM_THREADS": "1", "HORMESIS_TOKEN": ""}
    command = [PYTHON, "-m", "backend.service", "--db", url or world.url, *arguments]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={**os.environ, **own, **environment}
    ) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.startswith("listening on http://"), line
            yield line.removeprefix("listening on ").strip()
        finally:
            process.terminate()
            process.wait(timeout=20)


def pane(checkpoint: int, strength: float = 0.0, **more: Any) -> dict[str, Any]:
    """A pane as JSON; ITI where a strength is given."""
    method = "iti" if strength else "none"
    body = {"checkpoint_id": checkpoint, "method": method, "strength": strength, "heads": None,
             "direction": "mass_mean", "scope": "generated", "control": None}  # fmt: skip
    return body | more


def request_body(panes: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    """A request as JSON."""
    return {"panes": panes, "prompt": "the baker sells", "new_tokens": 24, "temperature": 1.0,
            "top_p": 0.9, "seed": 7} | more  # fmt: skip


def events(response: httpx.Response) -> Iterator[Event]:
    """The stream's events as they come."""
    name = ""
    for line in response.iter_lines():
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield name, json.loads(line.removeprefix("data: "))


def ask(address: str, body: dict[str, Any]) -> list[Event]:
    """All events of one request."""
    with httpx.stream("POST", f"{address}/generate", json=body, timeout=120) as response:
        assert response.status_code == 200, response.read()
        assert response.headers["content-type"].startswith("text/event-stream")
        return list(events(response))


def results(stream: list[Event]) -> dict[int, dict[str, Any]]:
    """The `done` events by pane."""
    return {data["pane"]: data for name, data in stream if name == "done"}
