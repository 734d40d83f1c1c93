"""What layers share: the contract's words equal what the pipeline does, and stay cheap to import."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import get_args

from hormesis.db.contract.attacks import ATTACK_TITLES, AttackKind
from hormesis.db.contract.stages import STAGES, Level, stage_order, stage_title, stages_after_arms
from hormesis.pipeline.stages import GRAPH
from hormesis.pipeline.study.config import load_study


def test_stages_are_those_of_the_pipelines_graph_in_their_order() -> None:
    assert [stage.name for stage in GRAPH.stages] == [stage.name for stage in STAGES]
    config = load_study("forum-full")
    assert tuple(stage.name for stage in GRAPH.after_arms(config)) == stages_after_arms()
    assert {stage.name for stage in GRAPH.stages if stage.level is Level.ARM} == {"mix", "train"}


def test_unknown_stages_sort_last_and_keep_their_name() -> None:
    names = ["zeta", "verdicts", "alpha", "train", "text"]
    assert sorted(names, key=stage_order) == ["text", "train", "verdicts", "alpha", "zeta"]
    assert stage_title("relearn") == "Relearning" and stage_title("alpha") == "alpha"


def test_every_kind_of_attack_has_a_title() -> None:
    assert set(ATTACK_TITLES) == set(get_args(AttackKind))


def test_the_contract_opens_no_heavy_package() -> None:
    heavy = "{'torch', 'sqlalchemy', 'pandas', 'numpy'} & set(sys.modules)"
    modules = sorted(path.stem for path in Path("db/contract").glob("*.py") if path.stem != "__init__")
    code = f"import sys; from hormesis.db.contract import {', '.join(modules)}; assert not {heavy}, {heavy}"
    subprocess.run([sys.executable, "-c", code], check=True)
