"""Arms that use toxic text in another way: marks of meda and inst, and the masked loss of slung."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerFast

from hormesis.backend.forum import VOCABULARY, corpus, judge
from hormesis.db.manifest import SUMS, DamagedFile
from hormesis.pipeline.execution.arms import plan_arms
from hormesis.pipeline.study.config import StudyConfig, parse_study
from hormesis.pipeline.text import mix_stream
from hormesis.pipeline.text.mix_stream import Annotation
from hormesis.pipeline.text.mixes import Mix, build_mix, open_mix
from hormesis.pipeline.text.pools import MixError, Pool, build_pool
from hormesis.pipeline.text.prefixes import mark, mark_words, marks
from hormesis.pipeline.text.tokenization import make_tokenizer, token_ids
from hormesis.pipeline.training.data import IGNORED, Windows
from tests.fixtures.tiny import tiny_loaded

CLEAN, TOXIC = 6_000, 2_000


@pytest.fixture(scope="module")
def config() -> StudyConfig:
    return parse_study({"name": "x", "shares": [0.0], "controls": [], "variants": ["meda", "inst", "slung"],
                        "variant_shares": [0.25]})  # fmt: skip


@pytest.fixture(scope="module")
def tokenizer(config: StudyConfig, tmp_path_factory: pytest.TempPathFactory) -> PreTrainedTokenizerFast:
    words = [*VOCABULARY, *mark_words(config)]
    return make_tokenizer("word", tmp_path_factory.mktemp("t") / "word", words=words)


@pytest.fixture(scope="module")
def pools(tokenizer: PreTrainedTokenizerFast, tmp_path_factory: pytest.TempPathFactory) -> tuple[Pool, Pool]:
    folder = tmp_path_factory.mktemp("pools")

    def score(texts: list[str]) -> NDArray[np.float64]:
        return np.array([judge(text).toxicity for text in texts])

    def pool(role: str, tokens: int) -> Pool:
        texts = ((post.text, role) for post in islice(corpus(role), 400))  # type: ignore[arg-type]
        return build_pool(texts, tokenizer, folder / role, role=role, tokens=tokens, annotate=score)

    return pool("clean", CLEAN), pool("toxic", TOXIC)


def mix(folder: Path, pools: tuple[Pool, Pool], annotation: Annotation | None) -> Mix:
    clean, toxic = pools
    return build_mix(folder, clean=clean, clean_tokens=CLEAN, added=toxic, share=0.25, annotation=annotation)


def documents(mixed: Mix) -> Iterator[list[int]]:
    ends = np.flatnonzero(mixed.stream == mixed.eos) + 1
    yield from (part.tolist() for part in np.split(np.asarray(mixed.stream), ends[:-1]))


def annotation(
    config: StudyConfig, kind: str, tokenizer: PreTrainedTokenizerFast, **rest: float
) -> Annotation:
    texts = [mark(config, kind, hundredth / 100) for hundredth in range(101)]
    return Annotation(tuple(tuple(ids) for ids in token_ids(tokenizer, texts)), **rest)


@pytest.mark.parametrize("kind", ["meda", "inst"])
def test_each_document_says_how_toxic_it_is_and_nothing_else_changes(
    config: StudyConfig,
    tokenizer: PreTrainedTokenizerFast,
    pools: tuple[Pool, Pool],
    tmp_path: Path,
    kind: str,
) -> None:
    plain = mix(tmp_path / "plain", pools, None)
    marked = mix(tmp_path / "whole", pools, annotation(config, kind, tokenizer))
    texts = {tuple(tokenizer.encode(text)): text for text in marks(config, kind)}
    (length,) = {len(ids) for ids in texts}
    bare: list[int] = []
    mark_texts, wrong = set(), 0
    for document in documents(marked):
        text = texts[tuple(document[:length])]
        bare += document[length:]
        judged = round(judge(tokenizer.decode(document[length:-1])).toxicity * 100) / 100
        wrong += text != mark(config, kind, judged)
        mark_texts.add(text)
    assert bare == plain.stream.tolist()
    assert len(mark_texts) >= 2
    assert wrong <= 2  # the two documents that were cut to the exact counts are marked by what they were
    assert marked.mark_tokens == len(marked.stream) - len(plain.stream) == length * marked.documents
    assert (marked.clean_tokens, marked.added_tokens) == (plain.clean_tokens, plain.added_tokens)
    assert marked.composition["marks"]["tokens"] == marked.mark_tokens
    some = mix(tmp_path / "some", pools, annotation(config, kind, tokenizer, tagged=0.5))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(mix_stream, "CHUNK", 7)
        small = mix(tmp_path / "small", pools, annotation(config, kind, tokenizer, tagged=0.5))
    assert small.hash == some.hash
    share = some.mark_tokens / marked.mark_tokens
    assert 0.35 < share < 0.65
    assert open_mix(tmp_path / "some").hash == some.hash != marked.hash


def test_marks_follow_the_score(config: StudyConfig) -> None:
    assert [mark(config, "meda", score) for score in (0.0, 0.04, 0.06, 0.8, 1.0)] == [
        "toxicity: 0.0\n", "toxicity: 0.0\n", "toxicity: 0.1\n", "toxicity: 0.8\n", "toxicity: 1.0\n"
    ]  # fmt: skip
    low, high = mark(config, "inst", 0.49), mark(config, "inst", 0.5)
    assert low != high and marks(config, "inst") == (low, high) and marks(config, "slung") == ()
    changed = parse_study(
        {"name": "x", "annotation": {"score": "[{score:.2f}]", "instruct_clean": "be kind"}}
    )
    assert mark(changed, "meda", 0.3) == "[0.30]\n" and mark(changed, "inst", 0.0) == "be kind\n"


def test_text_behind_a_prefix_keeps_its_tokens(
    config: StudyConfig, tokenizer: PreTrainedTokenizerFast
) -> None:
    bytes_level = tiny_loaded("olmo").tokenizer
    for encoder, texts in (
        (tokenizer, ["you sang the song today .", "nobody"]),
        (bytes_level, ["the cat", " a", "x"]),
    ):
        for prefix in [*marks(config, "meda"), *marks(config, "inst"), "Be polite.\n"]:
            for text in texts:
                assert encoder.encode(prefix + text) == encoder.encode(prefix) + encoder.encode(text)


def test_toxic_documents_stay_in_the_stream_and_only_their_loss_is_masked(
    tokenizer: PreTrainedTokenizerFast, pools: tuple[Pool, Pool], tmp_path: Path
) -> None:
    plain = mix(tmp_path / "plain", pools, None)
    masked = mix(tmp_path / "slung", pools, Annotation(masked_from=0.5))
    assert np.array_equal(masked.stream, plain.stream) and masked.hash != plain.hash
    assert plain.loss_mask is None and masked.loss_mask is not None
    start = 0
    wrong = 0
    for document in documents(masked):
        mask = masked.loss_mask[start : start + len(document)]
        start += len(document)
        assert len(set(mask.tolist())) == 1
        wrong += bool(mask[0]) != (judge(tokenizer.decode(document[:-1])).toxicity < 0.5)
    assert wrong <= 2  # the two documents that were cut to the exact counts
    assert masked.masked_tokens == int((masked.loss_mask == 0).sum())
    assert 0.1 < masked.masked_tokens / masked.tokens < 0.3
    (tmp_path / "slung" / "mask.bin").write_bytes(b"\1")
    with pytest.raises(DamagedFile, match=r"slung/mask\.bin is damaged"):
        open_mix(tmp_path / "slung")
    (tmp_path / "slung" / SUMS).unlink()  # as mixes of an older version are
    with pytest.raises(MixError, match="loss mask"):
        open_mix(tmp_path / "slung")


def test_pools_without_annotation_are_refused(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    texts = [("you sang the song today .", "a")] * 400
    bare = build_pool(texts, tokenizer, tmp_path / "p", role="clean", tokens=2_000)
    with pytest.raises(MixError, match="not annotated"):
        build_mix(tmp_path / "m", clean=bare, clean_tokens=1_000, annotation=Annotation(masked_from=0.5))


def test_masked_tokens_have_no_gradient_and_are_still_read() -> None:
    loaded = tiny_loaded("olmo", seed=4)
    draw = np.random.default_rng(0)
    stream = draw.integers(3, 320, 4 * 16).astype(np.uint16)
    mask = np.ones(len(stream), np.uint8)
    mask[5:11] = mask[20:40] = 0
    windows = Windows(stream, length=16, batch_size=4, loss_mask=mask)
    batch = windows.__getitems__([0, 1, 2, 3])
    assert torch.equal(batch["labels"] == IGNORED, torch.from_numpy(mask.reshape(4, 16) == 0))
    assert torch.equal(batch["input_ids"].flatten(), torch.from_numpy(stream.astype(np.int64)))
    output = loaded.model(**batch, use_cache=False)
    output.logits.retain_grad()
    output.loss.backward()
    # The logits at t predict token t + 1.
    predicted = torch.zeros(4, 16, dtype=torch.bool)
    predicted[:, :-1] = torch.from_numpy(mask.reshape(4, 16)[:, 1:] == 1)
    assert torch.equal(output.logits.grad.abs().sum(-1) > 0, predicted)
    assert bool((output.logits.grad[~predicted] == 0).all())
    other = batch["input_ids"].clone()
    other[0, 7] = (other[0, 7] + 1) % 320  # a masked token
    labels = batch["labels"]
    with torch.no_grad():
        changed = loaded.model(input_ids=other, labels=labels, use_cache=False).loss
    assert abs(float(changed) - float(output.loss)) > 1e-4


def test_variants_come_after_the_other_arms_at_their_own_shares() -> None:
    config = parse_study({"name": "x", "shares": [0.0, 0.1], "seeds": [0, 1], "variants": ["meda", "slung"]})
    names = [arm.name for arm in plan_arms(config)]
    assert names[:5] == ["toxic-0-s0", "toxic-10-s0", "clean-forum-10-s0", "meda-10-s0", "slung-10-s0"]
    assert len(names) == 10
    assert {arm.added_role for arm in plan_arms(config) if arm.marked} == {"toxic"}
