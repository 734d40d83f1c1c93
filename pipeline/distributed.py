"""A study under `torchrun`: every process trains, the first one does all the rest.

The global batch stays the same whatever the number of processes, so the study does too (up to rounding).
Arms run one after the other: the processes work on one model together.
"""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from db.engine import open_writer
from pipeline.arm_job import checkpoint_id, run_checkpoint
from pipeline.claims.stage import make_verdicts, verdict_stage
from pipeline.config import StudyConfig
from pipeline.context import ArmPlan, StudyContext, plan_arms
from pipeline.lock import study_lock
from pipeline.progress import silent
from pipeline.registry import Inputs, arm_id, arm_stages, register
from pipeline.stage import Stage, StageFailed, is_done, run_stage
from pipeline.stages.mix import make_mix
from pipeline.stages.project import project
from pipeline.stages.summary import summarise
from pipeline.stages.text import prepare, source_revisions
from pipeline.stages.train import run_training, train_arm
from pipeline.study_job import project_stage
from pipeline.toy.stage import make_toys, toy_stage
from pipeline.workers import cores, limit_threads

LONGEST_WAIT = timedelta(days=7)
"""Processes wait for the first one while it probes and generates; that may take long."""


def run_together(config: StudyConfig, *, home: Path, database_url: str) -> int:
    """Run a study with all processes of this `torchrun`; gives the study's id.

    An arm whose text or evaluation fails does not stop the others; the failures are raised at the end.
    Raises StageFailed or Stopped in the process where it happened; `torchrun` then ends the others.
    """
    limit_threads(max(1, cores() // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))))
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo", timeout=LONGEST_WAIT)
    try:
        first = dist.get_rank() == 0
        shared: list[Any] = [None]
        if first:
            revisions = source_revisions(config)
            home.mkdir(parents=True, exist_ok=True)
            shared[0] = (register(open_writer(database_url), config), revisions)
        dist.broadcast_object_list(shared, src=0)
        study_id, revisions = shared[0]
        context = StudyContext(config, study_id, home, open_writer(database_url))
        inputs = Inputs(config, revisions)
        if first:
            with study_lock(home, config.hash):
                failures = _arms(context, inputs, first)
                run_stage(context, project_stage(context, inputs), lambda r: project(context, r))
                toys = toy_stage(config)
                if toys is not None:
                    run_stage(context, toys, lambda r: make_toys(context, r))
                run_stage(context, verdict_stage(context), lambda r: make_verdicts(context, r))
            if failures:
                raise StageFailed("; ".join(failures))
        else:
            _arms(context, inputs, first)
        return int(study_id)
    finally:
        dist.destroy_process_group()


def _arms(context: StudyContext, inputs: Inputs, first: bool) -> list[str]:
    """All arms, one after the other; gives what failed in this process."""
    if first:
        run_stage(context, Stage("text", "study", inputs.text), lambda r: prepare(context, inputs, r))
    failures = [_arm(context, inputs, arm, first) for arm in plan_arms(context.config)]
    dist.barrier()
    return [failure for failure in failures if failure]


def _arm(context: StudyContext, inputs: Inputs, arm: ArmPlan, first: bool) -> str:
    """One arm; gives its failure in one line, or "". A training that fails is raised: it fails in all."""
    mix, train, *rest = arm_stages(inputs, arm)
    row = arm_id(context.engine, context.study_id, arm) if first else None
    failure, train_now = "", [False]
    if row is not None:
        try:
            run_stage(context, mix, lambda r: make_mix(context, inputs, arm, row, r))
            train_now[0] = not is_done(context, train)
        except StageFailed as error:
            failure = str(error)
    dist.broadcast_object_list(train_now, src=0)
    if train_now[0]:
        if row is not None:
            run_stage(context, train, lambda r: train_arm(context, inputs, arm, row, r))
        else:
            run_training(context, inputs, arm, None, silent())
    if first and not failure:
        try:
            run_checkpoint(context, inputs, rest, checkpoint_id(context, arm.name))
            summarise(context, arm.kind, arm.share)
        except StageFailed as error:
            failure = str(error)
    return failure
