"""What layers share: the contract's words equal what the pipeline does, and stay cheap to import."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from db.contract.stages import STAGES, Level, stage_order, stage_title, stages_after_arms
from db.engine import open_writer
from pipeline.claims.stage import verdict_stage
from pipeline.config import load_study
from pipeline.context import StudyContext, plan_arms
from pipeline.registry import Inputs, arm_stages, checkpoint_stages, register
from pipeline.study_job import project_stage
from pipeline.toy.stage import toy_stage


def test_stages_are_those_of_the_pipeline_in_their_order(tmp_path: Path) -> None:
    config = load_study("forum-full")
    inputs = Inputs(config, {})
    arm = next(plan for plan in plan_arms(config) if plan.kind == "toxic")
    engine = open_writer(f"sqlite:///{tmp_path / 'empty.sqlite'}")
    context = StudyContext(config, register(engine, config), tmp_path, engine)
    last = [project_stage(context, inputs), toy_stage(config), verdict_stage(context)]
    names = {
        Level.CHECKPOINT: [stage.name for stage in checkpoint_stages(inputs, arm.name, "weights", arm)],
        Level.STUDY: ["text", *(stage.name for stage in last if stage)],
    }
    in_arm = [stage.name for stage in arm_stages(inputs, arm)]
    names[Level.ARM] = [name for name in in_arm if name not in names[Level.CHECKPOINT]]
    assert [stage.name for stage in STAGES] == ["text", *in_arm, *names[Level.STUDY][1:]]
    assert all(stage.name in names[stage.level] for stage in STAGES)
    assert stages_after_arms() == tuple(names[Level.STUDY][1:])


def test_unknown_stages_sort_last_and_keep_their_name() -> None:
    names = ["zeta", "verdicts", "alpha", "train", "text"]
    assert sorted(names, key=stage_order) == ["text", "train", "verdicts", "alpha", "zeta"]
    assert stage_title("relearn") == "Relearning" and stage_title("alpha") == "alpha"


def test_the_contract_opens_no_heavy_package() -> None:
    heavy = "{'torch', 'sqlalchemy', 'pandas', 'numpy'} & set(sys.modules)"
    modules = sorted(path.stem for path in Path("db/contract").glob("*.py") if path.stem != "__init__")
    code = f"import sys; from db.contract import {', '.join(modules)}; assert not {heavy}, {heavy}"
    subprocess.run([sys.executable, "-c", code], check=True)
