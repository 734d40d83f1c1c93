"""A study as jobs of Slurm: the arms left to do as an array, then the stages that need all of them."""

from __future__ import annotations

import shlex
import sys

from hormesis.db.location import home
from hormesis.db.origin import Origin
from hormesis.pipeline.commands.plan import StudyEstimate

MOST_TASKS = 1000
"""Tasks of one array; Slurm's MaxArraySize is 1001 where nobody changed it."""
SCRIPT = """\
#!/bin/bash
# Study {name} ({hash}), {n} arms left. Run this where sbatch is: bash FILE [options of sbatch].
# All nodes must see the home and the database (HORMESIS_DB, of PostgreSQL).
set -euo pipefail
export HORMESIS_HOME={home}
{array}sbatch --job-name={job}{dependency} "$@" <<'REST'
#!/bin/bash
# What failed before is tried again, then all arms are taken together.
{command}
REST
"""
ARRAY = """\
job=$(sbatch --parsable --job-name={job} --array=0-{last} "$@" <<'ARMS'
#!/bin/bash
arms=({arms})
for ((i = SLURM_ARRAY_TASK_ID; i < ${{#arms[@]}}; i += {tasks})); do
    {command} --arm "${{arms[i]}}"
done
ARMS
)
"""


def slurm_script(estimate: StudyEstimate, origin: Origin) -> str:
    """A script for bash that submits what is left of a study to Slurm; `origin`: how the study is named."""
    arms = [arm.name for arm in estimate.arms if arm.stages_left]
    words = [sys.executable, "-m", "hormesis.pipeline.cli", "run", origin.study]
    words += ["--data", origin.data] if origin.data else []
    job, command = f"hormesis-{estimate.name}", shlex.join(words)
    array = ARRAY.format(
        job=job,
        last=min(len(arms), MOST_TASKS) - 1,
        arms=shlex.join(arms),
        tasks=MOST_TASKS,
        command=command,
    )
    return SCRIPT.format(
        name=estimate.name,
        hash=estimate.hash,
        n=len(arms),
        home=shlex.quote(str(home())),
        array=array if arms else "",
        job=job,
        dependency=' --dependency="afterany:$job"' if arms else "",
        command=command,
    )
