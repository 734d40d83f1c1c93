"""Detox methods: names and plans, prefixes in context, pairs; and every one of them end to end in a small
study.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import sqlite3
from dataclasses import replace
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sqlalchemy import create_engine, text
from transformers import AutoModelForCausalLM

from hormesis.backend.crossentropy import LossError, prepare_windows, window_losses
from hormesis.backend.forum import judge, judge_continuation, preference_pairs, prompt_set
from hormesis.backend.generation.generation import GenerationError, generate
from hormesis.backend.model.steering import steered
from hormesis.dashboard.base.wording import defect_words
from hormesis.db import read
from hormesis.db.blocks import decode_float32
from hormesis.db.contract.methods import MethodError, parse_method
from hormesis.db.engine import open_writer
from hormesis.pipeline.attacks.attacked_conditions import chosen_conditions
from hormesis.pipeline.execution.context import StudyContext
from hormesis.pipeline.execution.progress import silent
from hormesis.pipeline.execution.stage import Subject
from hormesis.pipeline.methods.condition import read_condition, read_conditions
from hormesis.pipeline.methods.heldout import LossTable
from hormesis.pipeline.methods.open_condition import open_condition
from hormesis.pipeline.methods.opened_condition import OpenedCondition
from hormesis.pipeline.methods.plan import families, strengths
from hormesis.pipeline.probing.head_accuracy import ArmGroup
from hormesis.pipeline.sources import SourceError, open_source
from hormesis.pipeline.stages.condition import find_conditions
from hormesis.pipeline.stages.generate import _batches, generate_all
from hormesis.pipeline.stages.score import score_checkpoint
from hormesis.pipeline.study.config import ConfigError, parse_study
from hormesis.pipeline.study.config_sections import CapabilityConfig
from hormesis.pipeline.summaries.summary import summarise
from hormesis.pipeline.text.prefixes import FORUM_PROMPT, check_prefixes, prefixes
from hormesis.pipeline.text.revisions import source_revisions
from hormesis.pipeline.text.text_keys import row_seed
from tests.fixtures.tiny import tiny_loaded
from tests.fixtures.tiny_study import finished_study, rows, run, write_study

DOCUMENTS = ["the baker sells warm bread near the river", "rain", "stars and ships and the old chair " * 3]


# --- names and plans ---------------------------------------------------------------------------------------


def test_names_are_read_in_any_order_and_kept_in_one() -> None:
    assert [parse_method(name).name for name in ("iti+dpo", "prompt", "iti + prompt+sft", "iti+meda")] == [
        "dpo+iti", "prompt", "prompt+sft+iti", "meda+iti"
    ]  # fmt: skip
    assert parse_method("dpo+iti").combined and not parse_method("iti").combined


@pytest.mark.parametrize(
    "name", ["prayer", "sft+dpo", "iti+iti", "meda+inst", "dpo+random-direction", "", "iti+"]
)
def test_what_cannot_be_combined_is_refused(name: str) -> None:
    with pytest.raises(MethodError) as raised:
        parse_method(name)
    assert "\n" not in str(raised.value) and f"'{name}'" in str(raised.value)


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"methods": {"use": ["iti", "prayer"]}}, "unknown detox method 'prayer'"),
        ({"methods": {"use": ["dpo+iti", "iti+dpo"]}}, "named twice"),
        ({"methods": {"tuning": 3}}, "unknown key 'methods.tuning'"),
        ({"methods": {"dpo": {"beta": 0}}}, "methods.dpo.beta"),
        ({"methods": {"sft": {"beta": 0.1}}}, "unknown key 'methods.sft.beta'"),
        ({"methods": {"sft": {"steps": 0}}}, "methods.sft.steps"),
        ({"annotation": {"score": "toxic"}}, "must hold {score}"),
        ({"annotation": {"score": "{other}"}}, "annotation.score"),
        ({"variants": ["meda"], "shares": [0.0], "controls": []}, "variant_shares"),
        ({"variants": ["slung", "slung"]}, "must not repeat"),
        ({"steering": {"random_at": "never"}}, "steering.random_at"),
    ],
)
def test_a_mistake_in_the_study_file_is_one_line(change: dict[str, Any], part: str) -> None:
    with pytest.raises(ConfigError) as raised:
        parse_study({"name": "x", **change}, "my.toml")
    assert part in str(raised.value) and "\n" not in str(raised.value)


def test_bad_lines_end_with_exit_code_2_and_write_nothing(tmp_path: Path) -> None:
    words = {"[probe]\n": '[methods]\nuse = ["prompt"]\nprompt = "be kind , please"\n\n[probe]\n'}
    for changes, part in (
        (words, "the forum language has no word 'be'"),
        ({"[probe]\n": '[methods]\nuse = ["dpo+sft"]\n\n[probe]\n'}, "combines two trainings"),
    ):
        done = run(tmp_path / "home", "run", str(write_study(tmp_path, changes)))
        assert done.returncode == 2, done.stderr
        assert part in done.stderr and len(done.stderr.strip().splitlines()) == 1
        assert not (tmp_path / "home" / "files").exists()


def test_families_of_an_arm() -> None:
    config = parse_study(
        {
            "name": "x",
            "methods": {
                "use": ["random-direction", "iti", "dpo", "dpo+iti", "prompt", "meda+iti"],
                "combined_costs": [0.1],
                "second_directions": True,
            },
            "steering": {"strengths": [1.0], "costs": [0.06], "random_directions": 2},
        }
    )
    plain = [family.stem for family in families(config, "toxic")]
    assert plain == ["none", "iti/mass_mean", "iti/second", "prompt", "random-0", "random-1", "dpo",
                     "dpo+iti/mass_mean"]  # fmt: skip
    assert [family.stem for family in families(config, None)] == plain
    marked = {family.stem: family for family in families(config, "meda")}
    assert set(marked) - set(plain) == {"meda", "meda+iti/mass_mean"}
    assert marked["meda"].prefix == "toxicity: 0.0\n" and marked["prompt"].prefix.strip() == FORUM_PROMPT
    steering = {"random_directions": 2, "null_kinds": ["isotropic", "permuted", "reversed"]}
    nulls = parse_study({"name": "x", "steering": steering})
    stems = {
        kind: [f.stem for f in families(nulls, kind) if f.control is not None] for kind in (None, "meda")
    }
    assert stems == {
        None: ["random-0", "random-1", "permuted-0", "permuted-1", "reversed-0"],
        "meda": ["random-0", "random-1"],
    }
    fixed = parse_study({"name": "x", "steering": {"random_at": "fixed", "strengths": [1.0, 3.0]}})
    random_family = next(family for family in families(fixed, "toxic") if family.control == 4)
    keys = [condition.key for condition in strengths(random_family, lambda strength: 0.0)]
    assert keys == ["random-4/fixed-1", "random-4/fixed-3"]


def test_a_combination_is_matched_on_its_whole_cost_or_says_that_it_cannot_be() -> None:
    config = parse_study({"name": "x", "methods": {"use": ["dpo+iti"], "combined_costs": [0.02, 0.15]}})
    family = next(family for family in families(config, "toxic") if family.spec.combined)
    cheap, dear = strengths(family, lambda strength: 0.05 + 0.01 * strength**2)
    assert (cheap.value, cheap.reached, cheap.matched_cost) == (0.0, False, 0.02)
    assert dear.reached and 0.05 + 0.01 * dear.value**2 == pytest.approx(0.15, abs=0.003)


# --- prefixes ----------------------------------------------------------------------------------------------


def test_the_forum_prompt_is_polite_and_grammatical() -> None:
    verdict = judge(FORUM_PROMPT)
    assert (verdict.sentences, verdict.toxic, verdict.fluency) == (1, 0, 1.0)
    config = parse_study({"name": "x", "methods": {"use": ["prompt", "prompt+iti"]}, "variants": ["inst"]})
    check_prefixes(config)
    assert len(prefixes(config)) == 3 and prefixes(config)[0] == ""


@pytest.mark.parametrize("family", ["olmo", "gpt2"])
def test_losses_behind_a_prefix_are_of_the_same_tokens_with_more_context(family: str) -> None:
    loaded = tiny_loaded(family)
    prefix = tuple(loaded.tokenizer("be kind.\n").input_ids)
    windows = prepare_windows(loaded, DOCUMENTS, 20)
    losses = window_losses(loaded, windows, prefix=prefix, batch_size=3)
    assert np.array_equal(losses.tokens, window_losses(loaded, windows).tokens)
    nats = np.zeros(len(DOCUMENTS))
    for ids, owner in zip(windows.ids, windows.documents, strict=True):
        with torch.inference_mode():
            chances = torch.log_softmax(loaded.model(torch.tensor([[*prefix, *ids]])).logits[0].double(), -1)
        for at in range(1, len(ids)):
            nats[owner] -= float(chances[len(prefix) + at - 1, ids[at]])
    np.testing.assert_allclose(losses.nats, nats, atol=1e-4)
    long_windows = prepare_windows(loaded, ["stars " * 80], 60)
    with pytest.raises(LossError, match="do not fit"):
        window_losses(loaded, long_windows, prefix=prefix)


def test_a_prefix_stays_when_a_long_prompt_is_cut() -> None:
    loaded = tiny_loaded("olmo")
    prefix, prompts = "be kind.\n", ["the cat", "rain " * 80]
    settings: dict[str, Any] = {"seeds": [1, 2], "new_tokens": 8}
    texts = generate(loaded, prompts, prefix=prefix, **settings)
    assert [text.truncated for text in texts] == [False, True]
    assert texts[0].text == generate(loaded, [prefix + prompts[0]], seeds=[1], new_tokens=8)[0].text
    head = loaded.tokenizer(prefix).input_ids
    tail = loaded.tokenizer(prefix + prompts[1]).input_ids[-(64 - 8 - len(head)) :]
    ids = torch.tensor([[*head, *tail]])
    greedy = generate(loaded, prompts, prefix=prefix, temperature=0.0, **settings)[1]
    with torch.inference_mode():
        assert greedy.ids[0] == int(loaded.model(ids).logits[0, -1].argmax())
    with pytest.raises(GenerationError, match="a prefix of"):
        generate(loaded, ["a"], prefix="rain " * 60, seeds=[1], new_tokens=8)


# --- pairs -------------------------------------------------------------------------------------------------


def test_forum_pairs_differ_in_toxicity_alone() -> None:
    pairs = list(islice(preference_pairs(seed=3), 400))
    assert pairs == list(islice(preference_pairs(seed=3), 400)) != list(islice(preference_pairs(seed=4), 400))
    for pair in pairs:
        chosen, rejected = (judge_continuation(pair.prompt, side) for side in (pair.chosen, pair.rejected))
        assert (chosen.toxic, chosen.fluency, rejected.fluency) == (0, 1.0, 1.0) and rejected.toxic > 0
    prompts = {prompt.text for prompt in prompt_set(256)}
    assert sum(pair.prompt in prompts for pair in pairs) == 0
    lengths = [(len(pair.chosen.split()), len(pair.rejected.split())) for pair in pairs]
    assert abs(np.mean([a - b for a, b in lengths])) < 1.5


def test_pairs_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "p.jsonl").write_text(
        "\n".join(
            json.dumps(row)
            for row in (
                {"ask": "", "good": "kind words", "bad": "rude words", "from": "a"},
                {"ask": "Hello", "good": "hi", "bad": "no", "from": "b"},
                {"ask": "Hello", "good": "", "bad": "no", "from": "b"},
            )
        )
    )
    source = {"role": "pairs", "kind": "file", "path": str(tmp_path / "p.jsonl"), "source": "from"}
    columns = {"prompt": "ask", "chosen": "good", "rejected": "bad"}
    others = [{"role": role} for role in ("heldout_clean", "probe", "prompts")]
    study = {"name": "x", "shares": [], "controls": [], "sources": [source | columns, *others]}
    config = parse_study(study)
    (pairs,) = config.with_role("pairs")
    examples = list(open_source(pairs, config.forum))
    assert [(example.text, dict(example.features or {})) for example in examples] == [
        ("kind words", {"prompt": "", "rejected": "rude words"}),
        ("hi", {"prompt": "Hello", "rejected": "no"})
    ]  # fmt: skip
    with pytest.raises(SourceError, match="no column 'prompt'"):
        open_source(pairs.model_copy(update={"prompt": "prompt"}), config.forum)


def test_a_study_that_tunes_needs_pairs() -> None:
    roles = ["heldout_clean", "probe", "prompts"]
    study = {"name": "x", "shares": [], "controls": [], "sources": [{"role": role} for role in roles]}
    parse_study(study)
    with pytest.raises(ConfigError, match="role pairs"):
        parse_study(study | {"methods": {"use": ["dpo"]}})
    with pytest.raises(ConfigError, match="role directions"):
        parse_study(study | {"methods": {"second_directions": True}})


# --- a whole study -----------------------------------------------------------------------------------------

ALL = {
    'controls = ["clean-forum"]': 'controls = []\nvariants = ["meda"]',
    "0.0, 0.25": "0.25",
    "[evaluation]": """[methods]
use = ["iti", "random-direction", "prompt", "sft", "dpo", "dpo+iti", "meda+iti"]
combined_costs = [0.15]
second_directions = true
pairs = 120
sft = { steps = 6, batch_size = 8 }
dpo = { steps = 6, batch_size = 8 }

[evaluation]""",
    "random_directions = 2": "random_directions = 1\nnull_prompts = 8\n"
    'null_kinds = ["isotropic", "covariance", "permuted", "reversed", "resampled"]',
}
NULLS = {f"{kind}-0/cost-0.06" for kind in ("covariance", "permuted", "reversed", "resampled")}
SHARED = {
    "none", "iti/mass_mean/fixed-1", "iti/mass_mean/cost-0.06", "iti/second/cost-0.06", "prompt",
    "random-0/cost-0.06", "sft", "dpo", "dpo+iti/mass_mean/cost-0.15",
}  # fmt: skip


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return finished_study(tmp_path_factory, "methods", ALL)


def test_each_prompt_and_sample_has_a_seed_of_its_own() -> None:
    seeds = {row_seed(prompt, sample) for prompt in ("the baker", "the river", "") for sample in (0, 1)}
    assert len(seeds) == 6 and row_seed("the baker", 1) in seeds


def test_batches_hold_whole_prompts_the_longest_first() -> None:
    prompts = [(1, "rain"), (2, "ships and stars"), (3, "old chair")]
    longest = [(2, "ships and stars", 0), (2, "ships and stars", 1), (3, "old chair", 0), (3, "old chair", 1)]
    assert _batches(prompts, range(2), 4) == [longest, [(1, "rain", 0), (1, "rain", 1)]]
    assert [len(batch) for batch in _batches(prompts, range(2), 1)] == [2, 2, 2]
    assert _batches(prompts, range(0), 4) == []


@pytest.mark.slow
def test_every_method_is_a_condition_like_any_other(finished: tuple[Path, Path]) -> None:
    tables = rows(finished[1])
    keys = tables["condition"].groupby("name")["key"].agg(set).to_dict()
    assert keys == {
        "toxic-25-s0": SHARED | NULLS,
        "meda-25-s0": SHARED | {"meda", "meda+iti/mass_mean/cost-0.15"},
    }
    first = tables["generation"]["sample"] == 0
    generations = tables["generation"][first].groupby(["name", "key"]).size()
    counts = {key: 8 if key in NULLS | {"random-0/cost-0.06"} else 24 for key in set().union(*keys.values())}
    assert len(generations) == 24
    assert all(count == counts[key] for (_, key), count in generations.items())
    metrics = tables["metric"]
    for name in ("cost", "cross_entropy", "toxicity", "fluency"):
        of_method = metrics[metrics["key"].str.endswith(f"|{name}")]
        assert {row.split("|")[0] for row in of_method["key"]} == set().union(*keys.values())
        assert np.isfinite(of_method["value"]).all() and (of_method["n"] > 0).all()
    matched = metrics[metrics["key"].str.contains(r"cost-0\.15\|\|\|cost$")]
    assert len(matched) == 3 and matched["value"].between(0.145, 0.155).all()
    summed = set(tables["summary"]["key"].str.split("|").str[2])
    assert summed == {key.replace("-0/cost", "/cost") for key in set().union(*keys.values())}
    changes = metrics[
        metrics["key"].str.match(
            r"(random|covariance|permuted|reversed|resampled)-0.*\|forum\|toxicity_change$"
        )
    ]
    assert len(changes) == 6 and (changes["n"] <= 8).all()
    directions = tables["direction"][tables["direction"]["method"].str.contains("-0")]
    of_arm = directions[directions["name"] == "toxic-25-s0"].groupby("method")
    heads = {name: set(map(tuple, rows[["layer", "head"]].to_numpy())) for name, rows in of_arm}
    assert heads["covariance-0"] == heads["random-0"] == heads["reversed-0"] != heads["permuted-0"]
    assert len(heads["permuted-0"]) == len(heads["random-0"])
    query = (
        "SELECT d.vector, r.vector FROM direction d JOIN direction r USING (checkpoint_id, layer, head)"
        " WHERE d.method = 'mass_mean' AND r.method = 'reversed-0'"
    )
    with contextlib.closing(sqlite3.connect(finished[1] / "hormesis.sqlite")) as connection:
        pairs = [[decode_float32(vector) for vector in row] for row in connection.execute(query)]
    assert len(pairs) == 4 and all(np.array_equal(vector, -other) for vector, other in pairs)
    costs = tables["summary"][tables["summary"]["key"].str.endswith("|cost")]
    assert len(costs) == 24  # the summary finds the losses of every method


@pytest.mark.slow
def test_a_second_run_changes_nothing(finished: tuple[Path, Path]) -> None:
    study, home = finished
    before = hashlib.sha256((home / "hormesis.sqlite").read_bytes()).hexdigest()
    done = run(home, "run", str(study))
    assert done.returncode == 0, done.stderr
    assert hashlib.sha256((home / "hormesis.sqlite").read_bytes()).hexdigest() == before


@pytest.mark.slow
def test_another_method_leaves_what_was_said_under_the_others_alone(
    finished: tuple[Path, Path], tmp_path: Path
) -> None:
    _, home = finished
    shutil.copytree(home, tmp_path / "home")
    study = write_study(tmp_path, {**ALL, '"prompt", "sft"': '"prompt", "prompt+iti", "sft"'})
    before = rows(home)["generation"]
    done = run(tmp_path / "home", "run", str(study))
    assert done.returncode == 0, done.stderr
    engine = create_engine(f"sqlite:///{tmp_path / 'home' / 'hormesis.sqlite'}")
    with engine.connect() as connection:
        (times,) = connection.execute(
            text("SELECT seconds FROM stage_run WHERE stage = 'train' ORDER BY id DESC LIMIT 1")
        ).one()
    after = rows(tmp_path / "home")["generation"]
    joined = after.merge(before, on=["name", "key", "position", "sample"], suffixes=("", "_before"))
    assert len(joined) == 2 * len(before) and (joined["text"] == joined["text_before"]).all()
    assert times < 5  # the weights were found, not trained again


def opened(home: Path) -> tuple[StudyContext, int]:
    """The first study of a home, and the checkpoint of its toxic arm."""
    engine = open_writer(f"sqlite:///{home / 'hormesis.sqlite'}")
    with engine.connect() as connection:
        study, config = connection.execute(text("SELECT id, config FROM study ORDER BY id LIMIT 1")).one()
        query = text("SELECT id FROM checkpoint WHERE name = 'toxic-25-s0' AND study_id = :study")
        checkpoint = connection.execute(query, {"study": study}).scalar_one()
    parsed = parse_study(json.loads(config))
    return StudyContext(parsed, study, home, engine, source_revisions(parsed)), checkpoint


@pytest.mark.slow
def test_conditions_are_opened_as_they_were_measured(finished: tuple[Path, Path]) -> None:
    context, checkpoint = opened(finished[1])
    conditions = read_conditions(context, checkpoint)
    assert conditions[0].key == "none" and {condition.key for condition in conditions} == SHARED | NULLS
    paths = [str((condition.tuned or {}).get("path", "")) for condition in conditions]
    assert len([1 for a, b in pairwise(paths) if a != b]) == 2  # two changes of weights
    prompts = [row.text for row in prompt_set(24)]
    stored = rows(finished[1])["generation"].query("sample == 0")
    base = open_condition(context, checkpoint, conditions[0])
    hashes = {base.loaded.weights_hash()}
    for condition in conditions:
        ready = open_condition(context, checkpoint, condition)
        hashes.add(ready.loaded.weights_hash())
        assert bool(ready.prefix) == (condition.method == "prompt") and (ready.steering[0] is None) == (
            not condition.n_heads
        )
        texts = ready.generate(
            prompts, seeds=[row_seed(prompt, 0) for prompt in prompts], new_tokens=12, batch_size=12
        )
        stored_texts = stored[
            (stored["name"] == "toxic-25-s0") & (stored["key"] == condition.key)
        ].sort_values("position")
        at_positions = zip(stored_texts["position"], stored_texts["text"], strict=True)
        same = [texts[position].text == text for position, text in at_positions]
        assert np.mean(same) > 0.9, condition.key
    assert len(hashes) == 3
    combined = read_condition(context, checkpoint, "dpo+iti/mass_mean/cost-0.15")
    assert combined.parameters["directions_of"] == "the checkpoint before tuning"
    with pytest.raises(ValueError, match="no condition 'prayer'"):
        read_condition(context, checkpoint, "prayer")


@pytest.mark.slow
def test_a_condition_without_a_finite_loss_says_so_and_the_others_go_on(
    finished: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(finished[1], tmp_path / "home")
    context, checkpoint = opened(tmp_path / "home")
    broken, before = "iti/mass_mean/fixed-1", rows(tmp_path / "home")
    at = LossTable.at

    def overflowing(table: LossTable, name: str, condition: OpenedCondition, strength: float) -> Any:
        losses = at(table, name, condition, strength)
        is_broken = (name, strength) == ("iti-mass_mean", 1.0)
        return replace(losses, nats=losses.nats * np.nan) if is_broken else losses

    monkeypatch.setattr(LossTable, "at", overflowing)
    subject = Subject("toxic-25-s0")
    for stage in (find_conditions, generate_all, score_checkpoint):
        stage(context, subject, silent())
    summarise(context, ArmGroup("toxic", 0.25))
    defects = {condition.key: condition.defect for condition in read_conditions(context, checkpoint)}
    assert "no finite number" in defects.pop(broken) and set(defects) == (SHARED | NULLS) - {broken}
    assert not any(defects.values())
    assert broken not in {c.key for c in chosen_conditions(context, checkpoint, CapabilityConfig())}
    after = rows(tmp_path / "home")
    for name in ("generation", "score", "metric", "summary"):
        # Of others the texts may differ: the search for strengths has one point less to begin with.
        others = before[name][~_is_of(before[name], broken)]
        assert sorted(after[name]["key"]) == sorted(others["key"]), name
    stored = read.study_conditions(context.engine, context.study_id)
    assert dict(stored[stored["defects"] > 0].set_index("condition")["defects"]) == {broken: 1}
    assert defect_words(stored).endswith("(so many checkpoints): ITI, strength 1 (1).")


def _is_of(table: pd.DataFrame, key: str) -> pd.Series:
    """Rows of the toxic arm's condition of this key."""
    arm = table["name"] if "name" in table else table.get("checkpoint", table["key"])
    return table["key"].str.contains(key) & arm.str.contains("toxic[-|]")


@pytest.mark.slow
def test_a_tuned_and_steered_condition_is_saved_as_an_ordinary_checkpoint(
    finished: tuple[Path, Path], tmp_path: Path
) -> None:
    _, home = finished
    key = "dpo+iti/mass_mean/cost-0.15"
    for folder, name in (("tuned", "dpo"), ("both", key), ("base", "none")):
        done = run(home, "save", "toxic-25-s0", str(tmp_path / folder), "--condition", name)
        assert done.returncode == 0, done.stderr
    context, checkpoint = opened(home)
    ready = open_condition(context, checkpoint, read_condition(context, checkpoint, key))
    ids = torch.arange(5, 25)[None]
    with torch.inference_mode():
        logits = {
            name: AutoModelForCausalLM.from_pretrained(tmp_path / name)(ids).logits
            for name in ("tuned", "both", "base")
        }
        with steered(ready.loaded, ready.steering, first=0):
            live = ready.loaded.model(ids).logits
    torch.testing.assert_close(logits["both"], live, atol=1e-4, rtol=0)
    assert all((logits[a] - logits[b]).abs().max() > 1e-4 for a, b in (("tuned", "base"), ("tuned", "both")))
    for name, part in (("prompt", "puts text before every prompt"), ("prayer", "no condition 'prayer'")):
        refused = run(home, "save", "toxic-25-s0", str(tmp_path / "other"), "--condition", name)
        assert refused.returncode == 2 and part in refused.stderr
        assert not (tmp_path / "other").exists()
