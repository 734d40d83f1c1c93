"""Losses of fine-tuning: equal to trl's on the same batch; tuning raises the margin, resumes, and repeats
itself.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from hormesis.backend.model.loaded import LoadedModel
from hormesis.pipeline.execution.progress import Stopped
from hormesis.pipeline.methods.losses import (
    Completions,
    completions,
    preference_loss,
    sequence_log_probabilities,
    supervised_loss,
)
from hormesis.pipeline.methods.pairs import TokenPair, tokenise
from hormesis.pipeline.methods.tuning import open_tuning, tune
from hormesis.pipeline.study.config_sections import PreferenceConfig, TuningConfig
from hormesis.pipeline.text.text_pairs import TextPair, split_pairs
from tests.fixtures.tiny import tiny_loaded


def pairs(count: int, seed: int = 0) -> list[TokenPair]:
    """Random pairs of unequal lengths whose rejected side likes high ids."""
    draw = random.Random(seed)

    def some(low: int, high: int) -> tuple[int, ...]:
        return tuple(draw.randrange(low, high) for _ in range(draw.randint(2, 9)))

    return [TokenPair(some(3, 320), some(3, 160), some(160, 320)) for _ in range(count)]


def batch(loaded: LoadedModel, chosen: list[TokenPair], side: str) -> Completions:
    ends = [getattr(pair, side) for pair in chosen]
    return completions([pair.prompt for pair in chosen], ends, fill=loaded.pad_id, device=loaded.device)


@pytest.fixture
def trl(tmp_path: Path) -> tuple[Any, dict[str, Any]]:
    """trl, and the arguments its trainers share. A trainer changes its model's forward, so each gets its
    own.
    """
    module = pytest.importorskip("trl")
    quiet = {"output_dir": str(tmp_path), "use_cpu": True, "report_to": "none", "bf16": False}
    return module, quiet | {"max_length": None, "disable_tqdm": True}


def test_the_preference_loss_is_trls(trl: tuple[Any, dict[str, Any]]) -> None:
    from datasets import Dataset

    module, common = trl
    model, reference = (tiny_loaded("olmo", seed=seed) for seed in (1, 2))
    trainer = module.DPOTrainer(
        model=tiny_loaded("olmo", seed=1).model,
        ref_model=tiny_loaded("olmo", seed=2).model,
        args=module.DPOConfig(**common, beta=0.3),
        train_dataset=Dataset.from_list([{"prompt": "a", "chosen": " b", "rejected": " c"}]),
        processing_class=model.tokenizer,
    )
    examples = pairs(5)
    rows = [
        {"prompt_ids": list(p.prompt), "chosen_ids": list(p.chosen), "rejected_ids": list(p.rejected)}
        for p in examples
    ]
    with torch.no_grad():
        trl_loss = trainer.compute_loss(trainer.model.eval(), trainer.data_collator(rows))
        log_probabilities = [
            [
                sequence_log_probabilities(policy.model, batch(policy, examples, side))
                for side in ("chosen", "rejected")
            ]
            for policy in (model, reference)
        ]
        loss = preference_loss(*log_probabilities[0], reference=log_probabilities[1], beta=0.3)
    assert float(loss.loss) == pytest.approx(float(trl_loss), abs=1e-5)
    by_hand = 0.3 * (
        log_probabilities[0][0] - log_probabilities[1][0] - log_probabilities[0][1] + log_probabilities[1][1]
    )
    torch.testing.assert_close(loss.margins, by_hand)


def test_the_supervised_loss_is_trls(trl: tuple[Any, dict[str, Any]]) -> None:
    from datasets import Dataset

    module, common = trl
    model = tiny_loaded("olmo", seed=1)
    trainer = module.SFTTrainer(
        model=tiny_loaded("olmo", seed=1).model,
        args=module.SFTConfig(**common, completion_only_loss=True),
        train_dataset=Dataset.from_list([{"prompt": "a", "completion": " b"}]),
        processing_class=model.tokenizer,
    )
    examples = pairs(5)
    rows = [
        {
            "input_ids": [*p.prompt, *p.chosen],
            "labels": [-100] * len(p.prompt) + list(p.chosen),
        }
        for p in examples
    ]
    with torch.no_grad():
        trl_loss = trainer.compute_loss(trainer.model.eval(), trainer.data_collator(rows))
        loss = supervised_loss(model.model, batch(model, examples, "chosen"))
    assert float(loss) == pytest.approx(float(trl_loss), abs=1e-5)


def test_log_probabilities_are_those_of_each_text_alone() -> None:
    loaded = tiny_loaded("llama", seed=3)
    examples = pairs(4, seed=5)
    with torch.no_grad():
        together = sequence_log_probabilities(loaded.model, batch(loaded, examples, "rejected"))
        for index, pair in enumerate(examples):
            ids = torch.tensor([[*pair.prompt, *pair.rejected]])
            chances = torch.log_softmax(loaded.model(ids).logits[0].double(), -1)
            places = range(len(pair.prompt) - 1, ids.shape[1] - 1)
            alone = sum(float(chances[place, ids[0, place + 1]]) for place in places)
            assert float(together[index]) == pytest.approx(alone, abs=1e-4)


def tuned(folder: Path, method: Any, stop_at: int | None = None) -> Any:
    def progress(step: int, steps: int) -> None:
        if step == stop_at:
            raise Stopped("now")

    settings = {"steps": 12, "batch_size": 8, "learning_rate": 2e-2, "checkpoints": 4}
    config = PreferenceConfig(**settings) if method == "dpo" else TuningConfig(**settings)
    return tune(
        tiny_loaded("olmo", seed=7),
        folder,
        method=method,
        settings=config,
        scale_rate=1.0,
        pairs=pairs(40),
        held_out=pairs(30, seed=9),
        progress=progress,
    )


@pytest.mark.slow
@pytest.mark.parametrize("method", ["sft", "dpo"])
def test_tuning_raises_the_margin_and_a_cut_run_ends_in_the_same_weights(tmp_path: Path, method: str) -> None:
    undisturbed = tuned(tmp_path / "whole", method)
    assert undisturbed.margin[1] > undisturbed.margin[0] + 1
    assert undisturbed.preferred[1] > undisturbed.preferred[0]
    assert undisturbed.losses[-1] < undisturbed.losses[0]
    for stop in (2, 5, 10):  # before the first saved state, and between states
        with pytest.raises(Stopped):
            tuned(tmp_path / "cut", method, stop)
        assert open_tuning(tmp_path / "cut") is None
    resumed = tuned(tmp_path / "cut", method)
    assert resumed.losses == pytest.approx(undisturbed.losses, abs=1e-6)
    first, second = (load_file(result.model / "model.safetensors") for result in (undisturbed, resumed))
    for name, weight in first.items():
        torch.testing.assert_close(weight, second[name], rtol=0, atol=1e-7)
    names = sorted(path.name for path in (tmp_path / "cut").iterdir())
    assert names == ["model", "tuning.json", "tuning.json.sha256"]
    before = (tmp_path / "whole" / "model" / "model.safetensors").stat().st_mtime_ns
    assert tuned(tmp_path / "whole", method) == undisturbed
    assert (tmp_path / "whole" / "model" / "model.safetensors").stat().st_mtime_ns == before


def test_pairs_are_split_by_prompt_and_fit_the_context() -> None:
    texts = [TextPair(f"prompt {index // 3}", f"good {index}", f"bad {index}") for index in range(300)]
    validation, trained = split_pairs(texts)
    assert len(validation) + len(trained) == 300 and 10 < len(validation) < 60
    assert not {pair.prompt for pair in validation} & {pair.prompt for pair in trained}
    loaded = tiny_loaded("olmo")
    long = [TextPair("", "a " * 200, "b"), TextPair("word " * 100, "short", "also short")]
    for tokens, pair in zip(tokenise(loaded, long, 64), long, strict=True):
        assert tokens.prompt and max(len(tokens.chosen), len(tokens.rejected)) + len(tokens.prompt) <= 64
        assert (tokens.prompt == (loaded.blank_id,)) == (pair.prompt == "")
    example = tokenise(loaded, [TextPair("the cat", "sleeps", "reads")], 64)[0]
    assert loaded.tokenizer.decode([*example.prompt, *example.chosen[:-1]]) == "the cat sleeps"
    assert example.rejected[-1] == loaded.tokenizer.eos_token_id
