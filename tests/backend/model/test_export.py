"""A saved folder: what older programs need in it, permissions, and the note that tells a steered one."""

from __future__ import annotations

import json
import os
import re
import runpy
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig

from hormesis.backend.model.export import export_steered, save_plain
from hormesis.backend.model.models import load_model
from hormesis.backend.model.portable import write_model
from hormesis.backend.model.serving import PROGRAMS, serving_lines
from tests.backend.model.test_steering import logits, some_intervention
from tests.fixtures.families import tiny_config
from tests.fixtures.tiny import FAMILIES, save_tiny, tiny_loaded, tiny_model, tiny_tokenizer

ROOT = Path(__file__).resolve().parents[3]


def settings_of(folder: Path, name: str = "config.json") -> dict[str, object]:
    settings: dict[str, object] = json.loads((folder / name).read_text())
    return settings


def run_check(folder: Path) -> None:
    """The check of the README, on a folder."""
    text = (ROOT / "README.md").read_text()
    block = re.search(r"```python\n(import json\nimport torch.*?steering.json.*?)```", text, re.DOTALL)
    assert block is not None
    script = folder.parent / "check.py"
    script.write_text(block[1].replace("FOLDER", str(folder)))
    runpy.run_path(str(script))


FULL, SLIDING = (
    {"rope_theta": 70_000.0, "rope_type": "default"},
    {"rope_theta": 500.0, "rope_type": "default"},
)
LINEAR = {"rope_type": "linear", "factor": 4.0}


@pytest.mark.parametrize(
    ("family", "parameters", "rotary"),
    [
        ("olmo", FULL, {"rope_theta": 70_000.0}),
        ("olmo3", {"full_attention": FULL, "sliding_attention": FULL}, {"rope_theta": 70_000.0}),
        (
            "olmo3",
            {"full_attention": FULL | LINEAR, "sliding_attention": FULL},
            {"rope_theta": 70_000.0, "rope_scaling": LINEAR},
        ),
        (
            "gemma3_text",
            {"full_attention": FULL | LINEAR, "sliding_attention": SLIDING},
            {"rope_theta": 70_000.0, "rope_local_base_freq": 500.0, "rope_scaling": LINEAR},
        ),
        ("gpt_neox", FULL, {"rotary_emb_base": 70_000.0, "rotary_pct": 0.25, "rope_theta": 70_000.0}),
    ],
)
def test_what_transformers_4_reads_stands_beside_what_5_writes(
    family: str, parameters: dict[str, Any], rotary: dict[str, Any], tmp_path: Path
) -> None:
    model = tiny_model(family, rope_parameters=deepcopy(parameters))  # some families add to it
    write_model(model, tiny_tokenizer(), tmp_path)
    settings = settings_of(tmp_path)
    assert settings | rotary == settings
    assert settings_of(tmp_path, "tokenizer_config.json")["tokenizer_class"] == "PreTrainedTokenizerFast"
    assert load_model(tmp_path).model.config.rope_parameters == model.config.rope_parameters


def test_the_language_part_of_a_model_that_sees_gets_old_names_too(tmp_path: Path) -> None:
    by_layer = {"full_attention": FULL | LINEAR, "sliding_attention": SLIDING}
    config = AutoConfig.for_model(
        "gemma3", text_config=tiny_config("gemma3_text", rope_parameters=by_layer).to_dict()
    )
    write_model(config, tiny_tokenizer(), tmp_path)  # of a model, its configuration alone
    of_text = settings_of(tmp_path)["text_config"]
    expected = {"rope_theta": 70_000.0, "rope_local_base_freq": 500.0, "rope_scaling": LINEAR}
    assert isinstance(of_text, dict) and of_text | expected == of_text
    assert (
        AutoConfig.from_pretrained(tmp_path).text_config.rope_parameters == config.text_config.rope_parameters
    )


def test_scaled_rotary_settings_are_written_under_their_old_name_too(tmp_path: Path) -> None:
    scaled = {"rope_type": "linear", "factor": 4.0, "rope_theta": 70_000.0}
    model = tiny_model("llama", rope_parameters=scaled)
    write_model(model, tiny_tokenizer(), tmp_path)
    assert settings_of(tmp_path)["rope_scaling"] == {"rope_type": "linear", "factor": 4.0}
    assert load_model(tmp_path).model.config.rope_parameters == scaled


@pytest.mark.parametrize(("umask", "modes"), [(0o022, (0o644, 0o755)), (0o077, (0o600, 0o700))])
def test_permissions_follow_the_umask(umask: int, modes: tuple[int, int], tmp_path: Path) -> None:
    loaded = tiny_loaded()
    intervention = some_intervention(loaded)
    before = os.umask(umask)
    try:
        folder = export_steered(loaded, intervention, 1.0, folder=tmp_path / "new", card="# card")
    finally:
        os.umask(before)
    assert folder.stat().st_mode & 0o777 == modes[1]
    files = {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()}
    assert files == dict.fromkeys(files, modes[0])
    assert {"README.md", "steering.json", "model.safetensors"} <= set(files)


def test_the_check_tells_a_steered_folder_from_one_that_lost_its_biases(tmp_path: Path) -> None:
    loaded = tiny_loaded("olmo2")
    folder = export_steered(loaded, some_intervention(loaded), 2.0, folder=tmp_path / "steered")
    run_check(folder)
    note = settings_of(folder, "steering.json")["expected"]
    assert isinstance(note, dict) and note["tells_steered_from_unsteered"]
    ids = torch.tensor([note["token_ids"]])
    plain, steered = logits(loaded, ids)[0, -1], logits(load_model(folder), ids)[0, -1]
    for model, prefix in ((steered, ""), (plain, "unsteered_")):
        values = model[note["tokens"]], model.log_softmax(0)[note["tokens"]]
        for value, name in zip(values, ("logits", "log_probabilities"), strict=True):
            expected = torch.tensor(note[f"{prefix}{name}"])
            torch.testing.assert_close(value, expected, atol=note["tolerance"], rtol=0)
    (folder / "model.safetensors").unlink()
    loaded.model.save_pretrained(folder)
    with pytest.raises(AssertionError, match="not steered as it was saved"):
        run_check(folder)


def test_strength_zero_says_that_it_cannot_be_told(tmp_path: Path) -> None:
    loaded = tiny_loaded()
    folder = export_steered(loaded, some_intervention(loaded), 0.0, folder=tmp_path / "new")
    expected = settings_of(folder, "steering.json")["expected"]
    assert isinstance(expected, dict) and expected["tells_steered_from_unsteered"] is False


def test_in_16_bits_a_quarter_of_the_effect_is_allowed(tmp_path: Path) -> None:
    loaded = tiny_loaded(dtype=torch.bfloat16)
    folder = export_steered(loaded, some_intervention(loaded), 4.0, folder=tmp_path / "steered")
    run_check(folder)


def test_no_file_names_a_place_on_this_machine(tmp_path: Path) -> None:
    loaded = load_model(save_tiny(tmp_path / "source", "olmo"))
    folder = export_steered(loaded, some_intervention(loaded), 2.0, folder=tmp_path / "steered")
    assert settings_of(folder, "steering.json")["source"] == "source"
    for path in (*folder.iterdir(), *save_plain(loaded, tmp_path / "plain").iterdir()):
        assert str(tmp_path).encode() not in path.read_bytes(), path.name


def test_a_steered_folder_saved_again_keeps_its_note(tmp_path: Path) -> None:
    loaded = tiny_loaded("olmo")
    first = export_steered(loaded, some_intervention(loaded), 2.0, folder=tmp_path / "first")
    again = save_plain(load_model(first), tmp_path / "again")
    assert settings_of(again, "steering.json") == settings_of(first, "steering.json")
    run_check(again)
    source = load_model(first)
    further = export_steered(source, some_intervention(source, seed=5), 1.0, folder=tmp_path / "further")
    note = settings_of(further, "steering.json")
    assert note["strength"] == 1.0 and note["earlier"] == settings_of(first, "steering.json")
    run_check(further)


def test_every_proven_family_stands_in_the_table_or_is_unknown() -> None:
    for program in PROGRAMS:
        assert program.revision and re.fullmatch(r"\d{4}-\d\d-\d\d", program.read)
        assert set(program.fates) <= set(FAMILIES), program.name
    for family in FAMILIES:
        lines = serving_lines(family)
        programs = [program.name for program in PROGRAMS for line in lines if program.name in line]
        assert sorted(programs) == sorted(program.name for program in PROGRAMS), family
    assert any("NOT steered" in line and "vLLM" in line for line in serving_lines("qwen3"))
    assert [line.split(":")[0] for line in serving_lines("mamba")] == ["not looked up in"]
