"""Mixes: exact token counts, the same clean text in every arm, one shuffle, and honest refusals."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerFast

from hormesis.db.manifest import SUMS, DamagedFile
from hormesis.pipeline.execution.arms import Portion, added_tokens
from hormesis.pipeline.text import mix_stream
from hormesis.pipeline.text import pools as pools_module
from hormesis.pipeline.text.mixes import Mix, MixError, _documents_of, build_mix, open_mix, toxic_share
from hormesis.pipeline.text.pools import Judge, Pool, build_pool, open_pool, token_dtype
from hormesis.pipeline.text.tokenization import make_tokenizer

# Clean and added documents use different words, so a token tells where it came from.
CLEAN = [f"c{index}" for index in range(200)]
ADDED = [f"a{index}" for index in range(200)]


def documents(words: list[str], seed: int, count: int | None = None) -> Iterator[tuple[str, str]]:
    """Seeded documents of 1 to 12 words from two sources by turns; endless without a count."""
    draw = np.random.default_rng(seed)
    index = 0
    while count is None or index < count:
        yield " ".join(draw.choice(words, draw.integers(1, 13))), f"{words[0][0]}-{index % 2}"
        index += 1


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> PreTrainedTokenizerFast:
    return make_tokenizer("word", tmp_path_factory.mktemp("t") / "word", words=CLEAN + ADDED)


@pytest.fixture(scope="module")
def pools(tokenizer: PreTrainedTokenizerFast, tmp_path_factory: pytest.TempPathFactory) -> tuple[Pool, Pool]:
    folder = tmp_path_factory.mktemp("pools")
    return (
        build_pool(documents(CLEAN, 0), tokenizer, folder / "clean", role="clean", tokens=6000),
        build_pool(documents(ADDED, 1, 400), tokenizer, folder / "toxic", role="toxic", tokens=10**9),
    )


def split(stream: NDArray[np.uint16], eos: int) -> list[tuple[int, ...]]:
    """The documents of a stream, each with its separator."""
    ends = np.flatnonzero(stream == eos) + 1
    assert len(ends) and ends[-1] == len(stream)
    return [tuple(part.tolist()) for part in np.split(np.asarray(stream), ends[:-1])]


def clean_only(
    stream: NDArray[np.uint16], tokenizer: PreTrainedTokenizerFast, eos: int
) -> list[tuple[int, ...]]:
    clean_ids = set(tokenizer.convert_tokens_to_ids(CLEAN))
    return [document for document in split(stream, eos) if document[0] in clean_ids]


def test_a_pool_holds_the_documents_as_they_came(
    pools: tuple[Pool, Pool], tokenizer: PreTrainedTokenizerFast
) -> None:
    clean, toxic = pools
    assert clean.tokens >= 6000 and not clean.exhausted and toxic.exhausted
    assert (toxic.documents, toxic.sources) == (400, ("a-0", "a-1"))
    for index, (text, source) in enumerate(documents(ADDED, 1, 400)):
        ids = toxic.stream[int(toxic.offsets[index]) : int(toxic.offsets[index + 1])]
        assert ids.tolist() == [*tokenizer.encode(text), toxic.eos]
        assert toxic.sources[toxic.origin[index]] == source


def test_a_pool_is_read_no_further_than_needed_and_built_once(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    counts = Counter[str]()

    def counted() -> Iterator[tuple[str, str]]:
        for text, source in documents(CLEAN, 0):
            counts["documents"] += 1
            yield text, source

    first = build_pool(counted(), tokenizer, tmp_path / "p", role="clean", tokens=500, key="k")
    assert counts["documents"] <= 1024 and 500 <= first.tokens < 513
    again = build_pool(iter([]), tokenizer, tmp_path / "p", role="clean", tokens=500, key="k")
    assert again == first
    other = build_pool(documents(CLEAN, 9), tokenizer, tmp_path / "p", role="clean", tokens=500, key="other")
    assert other.hash != first.hash
    assert [path.name for path in tmp_path.iterdir()] == ["p"]


@given(
    share=st.floats(0.0, 0.4),
    clean_tokens=st.integers(1, 5000),
    seed=st.integers(0, 2**31),
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_counts_are_exact_and_every_document_ends(
    pools: tuple[Pool, Pool],
    tokenizer: PreTrainedTokenizerFast,
    tmp_path_factory: pytest.TempPathFactory,
    share: float,
    clean_tokens: int,
    seed: int,
) -> None:
    clean, toxic = pools
    extra = added_tokens(clean_tokens, share)
    folder = tmp_path_factory.mktemp("mix") / "m"
    if extra > toxic.tokens:
        with pytest.raises(MixError, match=f"{extra - toxic.tokens:,} tokens of toxic text"):
            build_mix(folder, clean=clean, clean_tokens=clean_tokens, added=toxic, share=share, seed=seed)
        return
    mix = build_mix(folder, clean=clean, clean_tokens=clean_tokens, added=toxic, share=share, seed=seed)
    assert mix.tokens == len(mix.stream) == clean_tokens + extra
    assert abs(extra / mix.tokens - share) <= 1 / mix.tokens
    assert mix.repeats == 1.0
    words = set(tokenizer.convert_tokens_to_ids(ADDED))
    parts = split(mix.stream, mix.eos)
    assert len(parts) == mix.documents == sum(row["documents"] for row in mix.composition.values())
    assert sum(len(part) for part in parts if part[0] in words) in range(extra - 1, extra + 1)
    assert sum(row["tokens"] for row in mix.composition.values() if row["role"] == "clean") == clean_tokens


def test_the_measured_share_is_that_of_tokens_in_toxic_documents(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    """By a judge to whom every fifth document of clean text is toxic, and four of five added ones."""

    def judged(role: str, words: list[str], *, step: int, first: bool) -> Pool:
        texts = [text for text, _ in documents(words, 3, 200)]
        marked = {text for place, text in enumerate(texts) if (place % step == 0) == first}
        judge = Judge("planted", lambda batch: np.array([float(text in marked) for text in batch]))
        pairs = ((text, role) for text in texts)
        return build_pool(pairs, tokenizer, tmp_path / role, role=role, tokens=10**9, judge=judge)

    clean, added = judged("clean", CLEAN, step=5, first=True), judged("toxic", ADDED, step=5, first=False)
    for pool, expected in ((clean, 0.2), (added, 0.8)):
        share = pool.toxic[pool.role]
        assert share["n"] == 200 and share["low"] < share["value"] < share["high"]
        assert share["value"] == pytest.approx(expected, abs=0.08)
    mix = build_mix(tmp_path / "mix", clean=clean, clean_tokens=900, added=added, share=0.25, seed=0)
    measured = toxic_share(mix.composition)
    assert measured is not None and measured.n == 400
    expected = 0.75 * clean.toxic["clean"]["value"] + 0.25 * added.toxic["toxic"]["value"]
    assert measured.value == pytest.approx(expected, abs=1e-3)
    assert measured.low is not None and measured.high is not None
    assert measured.low < measured.value < measured.high
    unjudged = build_pool(documents(CLEAN, 0, 200), tokenizer, tmp_path / "u", role="clean", tokens=10**9)
    alone = build_mix(tmp_path / "alone", clean=unjudged, clean_tokens=900, added=None, share=0, seed=0)
    assert unjudged.toxic == {} and toxic_share(alone.composition) is None


def test_clean_text_and_its_order_are_the_same_in_every_arm_of_a_seed(
    pools: tuple[Pool, Pool], tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    clean, toxic = pools
    mixes = {}
    for seed in (0, 1):
        for share in (0.0, 0.05, 0.25):
            mix = build_mix(
                tmp_path / f"{seed}-{share}",
                clean=clean,
                clean_tokens=5001,
                added=toxic,
                share=share,
                seed=seed,
            )
            mixes[seed, share] = clean_only(mix.stream, tokenizer, mix.eos)
    assert mixes[0, 0.0] == mixes[0, 0.05] == mixes[0, 0.25]
    assert mixes[1, 0.0] == mixes[1, 0.25] != mixes[0, 0.0]
    assert Counter(mixes[1, 0.0]) == Counter(mixes[0, 0.0])
    in_order = split(clean.stream[: int(clean.offsets[100])], clean.eos)
    assert mixes[0, 0.0][:100] != in_order, "documents were not shuffled"


def test_added_text_of_a_small_share_is_part_of_a_larger_one(
    pools: tuple[Pool, Pool], tmp_path: Path
) -> None:
    clean, toxic = pools
    small, large = (
        build_mix(tmp_path / str(share), clean=clean, clean_tokens=5000, added=toxic, share=share, seed=4)
        for share in (0.1, 0.3)
    )
    first, other = Counter(split(small.stream, small.eos)), Counter(split(large.stream, large.eos))
    assert sum((first - other).values()) <= 1  # the cut last document alone


def test_the_shuffle_is_global_and_deterministic(pools: tuple[Pool, Pool], tmp_path: Path) -> None:
    clean, toxic = pools
    arguments = {"clean": clean, "clean_tokens": 5000, "added": toxic, "share": 0.3, "seed": 7}
    mix = build_mix(tmp_path / "one", **arguments)  # type: ignore[arg-type]
    again = build_mix(tmp_path / "two", **arguments)  # type: ignore[arg-type]
    assert mix.hash == again.hash == hashlib.sha256(mix.stream.tobytes()).hexdigest()[:16]
    assert build_mix(tmp_path / "three", **{**arguments, "seed": 8}).hash != mix.hash  # type: ignore[arg-type]
    origin = np.array([document[0] < 200 for document in split(mix.stream, mix.eos)])
    halves = np.array_split(origin, 4)
    assert all(abs(half.mean() - origin.mean()) < 0.15 for half in halves)


def test_small_chunks_write_the_same_bytes(
    pools: tuple[Pool, Pool], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clean, toxic = pools
    arguments = {"clean": clean, "clean_tokens": 3000, "added": toxic, "share": 0.2}
    expected = build_mix(tmp_path / "whole", **arguments)  # type: ignore[arg-type]
    monkeypatch.setattr(mix_stream, "CHUNK", 7)
    assert build_mix(tmp_path / "chunked", **arguments).hash == expected.hash  # type: ignore[arg-type]


def test_missing_text_is_told_and_repetition_is_recorded(pools: tuple[Pool, Pool], tmp_path: Path) -> None:
    clean, toxic = pools
    count = added_tokens(5000, 0.5)
    with pytest.raises(
        MixError, match=rf"{count - toxic.tokens:,} tokens of toxic text are missing.*50.0%"
    ) as raised:
        build_mix(tmp_path / "m", clean=clean, clean_tokens=5000, added=toxic, share=0.5)
    assert "allow_repetition" in str(raised.value) and "\n" not in str(raised.value)
    assert not list(tmp_path.iterdir())
    mix = build_mix(
        tmp_path / "m", clean=clean, clean_tokens=5000, added=toxic, share=0.5, allow_repetition=True
    )
    assert mix.tokens == 10_000 and mix.repeats == pytest.approx(count / toxic.tokens)
    assert open_mix(tmp_path / "m") == mix
    with pytest.raises(MixError, match="tokens of clean text are missing"):
        build_mix(tmp_path / "n", clean=clean, clean_tokens=10**6, share=0.0, allow_repetition=True)


def test_impossible_mixes_are_refused(
    pools: tuple[Pool, Pool], tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    clean, _ = pools
    for share in (1.0, 1.2, -0.1):
        with pytest.raises(MixError, match="share"):
            build_mix(tmp_path / "m", clean=clean, clean_tokens=100, share=share)
    with pytest.raises(MixError, match="needs text to add"):
        build_mix(tmp_path / "m", clean=clean, clean_tokens=100, share=0.1)
    other = make_tokenizer("word", tmp_path / "t", words=ADDED)
    foreign = build_pool(documents(ADDED, 0), other, tmp_path / "p", role="toxic", tokens=100)
    with pytest.raises(MixError, match="different tokenizers"):
        build_mix(tmp_path / "m", clean=clean, clean_tokens=100, added=foreign, share=0.1)
    empty = build_pool(iter([("", "s")]), tokenizer, tmp_path / "e", role="toxic", tokens=100)
    assert (empty.tokens, empty.documents, empty.exhausted) == (0, 0, True)
    with pytest.raises(MixError, match="tokens of toxic text are missing"):
        build_mix(
            tmp_path / "m", clean=clean, clean_tokens=100, added=empty, share=0.1, allow_repetition=True
        )
    with pytest.raises(MixError, match="not enough for one window"):
        empty.windows(16, 1000)
    texts = [("the river", f"page {number}") for number in range(3)]
    with (
        pytest.MonkeyPatch.context() as patch,
        pytest.raises(MixError, match=r"more than 2 sources.*'page 2'"),
    ):
        patch.setattr(pools_module, "MOST_SOURCES", 2)
        build_pool(iter(texts), tokenizer, tmp_path / "s", role="clean", tokens=100)


def test_damaged_files_are_told_and_built_anew(
    pools: tuple[Pool, Pool], tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    clean, _ = pools
    mix = build_mix(tmp_path / "m", clean=clean, clean_tokens=1000)
    (tmp_path / "m" / "tokens.bin").write_bytes(b"12")
    with pytest.raises(DamagedFile, match=r"m/tokens\.bin is damaged"):
        open_mix(tmp_path / "m")
    assert build_mix(tmp_path / "m", clean=clean, clean_tokens=1000).hash == mix.hash
    build_pool(documents(CLEAN, 0), tokenizer, tmp_path / "p", role="clean", tokens=100)
    (tmp_path / "p" / "offsets.bin").unlink()
    with pytest.raises(DamagedFile, match=r"p/offsets\.bin is missing"):
        open_pool(tmp_path / "p")
    (tmp_path / "p" / SUMS).unlink()  # as pools of an older version are
    with pytest.raises(MixError, match="no usable token pool"):
        open_pool(tmp_path / "p")
    assert build_pool(documents(CLEAN, 0), tokenizer, tmp_path / "p", role="clean", tokens=100).tokens >= 100


def test_an_interrupted_build_leaves_nothing(
    pools: tuple[Pool, Pool], tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    def stop(done: int, total: int) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        build_mix(tmp_path / "m", clean=pools[0], clean_tokens=1000, progress=stop)
    with pytest.raises(InterruptedError):
        build_pool(documents(CLEAN, 0), tokenizer, tmp_path / "p", role="clean", tokens=100, progress=stop)
    assert not list(tmp_path.iterdir())


def test_windows_are_the_first_tokens_of_the_pool(pools: tuple[Pool, Pool]) -> None:
    windows = pools[0].windows(64, 1000)
    assert windows.shape == (15, 64) and windows.dtype == np.int64
    assert windows.flatten().tolist() == pools[0].stream[:960].tolist()


def test_token_type_follows_the_vocabulary() -> None:
    assert token_dtype(65_535) == np.uint16
    assert token_dtype(65_536) == np.uint32


def test_seeds_with_documents_of_their_own_share_none_and_arms_stay_nested(
    pools: tuple[Pool, Pool], tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    clean, toxic = pools

    def mix_of(place: int, share: float) -> Mix:
        return build_mix(
            tmp_path / f"{place}-{share}", clean=clean, clean_tokens=2000, added=toxic, share=share,
            seed=place, portion=Portion(place, 2),
        )  # fmt: skip

    mixes = {(place, share): mix_of(place, share) for place in (0, 1) for share in (0.1, 0.3)}
    used = [_documents_of(clean, Portion(place, 2), 0) for place in (0, 1)]
    assert sorted(np.concatenate(used)) == list(range(clean.documents)), "each document is one seed's"
    assert not np.array_equal(np.sort(used[0]), np.arange(len(used[0]))), "a random half, not the first"
    for (place, share), mix in mixes.items():
        assert mix.tokens == 2000 + added_tokens(2000, share) and mix == mix_of(place, share)
    for place in (0, 1):
        small, large = (mixes[place, share] for share in (0.1, 0.3))
        of_shares = [clean_only(mix.stream, tokenizer, mix.eos) for mix in (small, large)]
        assert of_shares[0] == of_shares[1], (
            "arms of one seed read the same clean documents in the same order"
        )
        added = [set(split(mix.stream, mix.eos)) - set(of_shares[0]) for mix in (small, large)]
        assert len(added[0] - added[1]) <= 1, "but for the document that is cut"
    assert mixes[0, 0.1].hash != build_mix(
        tmp_path / "shared", clean=clean, clean_tokens=2000, added=toxic, share=0.1
    ).hash  # fmt: skip
    with pytest.raises(MixError, match=r"tokens of clean text are missing.* for seed 1, one of 2") as raised:
        build_mix(tmp_path / "m", clean=clean, clean_tokens=4000, seed=1, portion=Portion(1, 2))
    assert "allow_repetition" not in str(raised.value) and "\n" not in str(raised.value)
