"""Random kills of a tiny study, a file damaged after every fifth: `python -m tests.random_kills --kills 100`.

A study of two arms is run in a home of its own, killed by SIGKILL at random moments and started again.
After every fifth kill one bit of a random file of the home is flipped, or the file is removed. When a run
comes to its end, its rows must be those of an undisturbed run, or it must have ended in a line that names a
file; then the next round begins in an empty home. Prints how often which, and in which stages kills fell.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from tests.fixtures.forked import forked_commands
from tests.fixtures.tiny_study import TWO_ARMS, assert_same_rows, command, environment, run, write_study

LONGEST_LIFE = 9.0
"""Seconds until a kill at the latest: a good part of a run."""
DAMAGED_EVERY = 5
LONGEST_RUN = 400


@dataclass
class Tally:
    """What became of the runs, by kind; `stages`: those that ran when a kill fell."""

    outcomes: Counter[str] = field(default_factory=Counter)
    stages: Counter[str] = field(default_factory=Counter)
    damages: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        parts = [f"{count} x {kind}" for kind, count in self.outcomes.most_common()]
        kills = ", ".join(f"{stage} {count}" for stage, count in self.stages.most_common())
        return "\n".join([*parts, f"kills in: {kills}", *self.damages])


def damage(home: Path, rng: random.Random) -> str:
    """Flip one bit of a random file of the home, or remove it; says what was done."""
    files = sorted(path for path in (home / "files").rglob("*") if path.is_file())
    if not files:
        return "nothing to damage yet"
    path = rng.choice(files)
    name, content = path.relative_to(home), bytearray(path.read_bytes())
    if content and rng.random() < 0.5:
        place = rng.randrange(len(content))
        content[place] ^= 1 << rng.randrange(8)
        path.write_bytes(content)
        return f"bit flipped in {name}"
    path.unlink()
    return f"removed {name}"


def running_stages(home: Path) -> list[str]:
    """Stages that the killed process was in."""
    try:
        with closing(sqlite3.connect(f"file:{home / 'hormesis.sqlite'}?mode=ro", uri=True)) as connection:
            query = "SELECT stage FROM stage_run WHERE status = 'running'"
            return [stage for (stage,) in connection.execute(query)] or ["between stages"]
    except sqlite3.Error:
        return ["before the first row"]


def judged(home: Path, undisturbed: Path, code: int, output: str) -> str:
    """How a run that came to its end is counted. Raises AssertionError for what must not be."""
    if code == 0:
        assert_same_rows(undisturbed, home)
        return "rows equal to an undisturbed run's"
    assert code == 2 and "Traceback" not in output, output
    assert re.search(r"/files/\S+", output), f"no file is named: {output}"
    return "a line that names the file"


def kill_at_random(
    study: Path,
    undisturbed: Path,
    home: Path,
    *,
    kills: int,
    rng: random.Random,
    longest_life: float = LONGEST_LIFE,
) -> Tally:
    """Run a study file with so many kills, then to its end; compare whatever comes to an end."""
    tally = Tally()
    n_kills = 0
    while n_kills < kills:
        with tempfile.TemporaryFile("w+") as output:
            process = subprocess.Popen(
                command("run", str(study)),
                env=environment(home),
                stdout=subprocess.DEVNULL,
                stderr=output,
                start_new_session=True,
            )
            try:
                process.wait(timeout=rng.uniform(0.5, longest_life))
            except subprocess.TimeoutExpired:
                os.kill(process.pid, signal.SIGKILL)
                process.wait()
                n_kills += 1
                tally.stages.update(running_stages(home))
                time.sleep(1.0)  # workers see that the run has ended, and end
                if n_kills % DAMAGED_EVERY == 0:
                    tally.damages.append(f"after kill {n_kills}: {damage(home, rng)}")
                continue
            output.seek(0)
            tally.outcomes[judged(home, undisturbed, process.returncode, output.read())] += 1
        shutil.rmtree(home)
    if home.exists():
        ended = run(home, "run", str(study), timeout=LONGEST_RUN)
        tally.outcomes[judged(home, undisturbed, ended.returncode, ended.stderr)] += 1
    return tally


def main() -> None:
    """Run as many kills as asked for and print what became of them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=7)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, forked_commands():
        folder = Path(name)
        study = write_study(folder, TWO_ARMS)
        undisturbed = run(folder / "undisturbed", "run", str(study), timeout=LONGEST_RUN)
        assert undisturbed.returncode == 0, undisturbed.stderr
        rng = random.Random(arguments.seed)
        homes = folder / "undisturbed", folder / "home"
        print(kill_at_random(study, *homes, kills=arguments.kills, rng=rng))


if __name__ == "__main__":
    main()
