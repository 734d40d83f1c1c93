"""Pairs of chosen and rejected text as a study's source gives them: distinct, none of them evaluated on."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from hormesis.pipeline.sources import Record, SourceError
from hormesis.pipeline.sources.record import Reason
from hormesis.pipeline.study.config import StudyConfig
from hormesis.pipeline.text.reading import RoleRecords, open_role, records_of
from hormesis.pipeline.text.text_keys import key_of, words_key

MOST_PARAPHRASES = 200
"""Pairs of one meaning that probes are tested on."""
HELD_OUT_ONE_IN = 10
"""Pairs whose hash falls in 1 of 10 are never trained on; the tuned model is measured on them."""


@dataclass(frozen=True, slots=True)
class TextPair:
    """`prompt` may be empty; it and either side are joined by a space where neither brings white space."""

    prompt: str
    chosen: str
    rejected: str


def row_of(record: Record) -> tuple[str, str, str]:
    """Prompt, chosen and rejected text."""
    features = record.features or {}
    return features["prompt"], record.text, features["rejected"]


def usable_pairs(config: StudyConfig, evaluation_prompts: Collection[str]) -> RoleRecords:
    """Distinct pairs of the source, at most `methods.pairs`, without prompts that are evaluated on.

    Raises SourceError where too few are left to train on.
    """
    pairs = RoleRecords("pairs", open_role(config, "pairs"))
    rows = set[tuple[str, str, str]]()
    for record, source in records_of(pairs.sources):
        row = prompt, chosen, rejected = row_of(record)
        if prompt in evaluation_prompts:
            source.count.drop(Reason.EVALUATED)
        elif chosen == rejected:
            source.count.drop(Reason.EQUAL_SIDES)
        elif row in rows:
            source.count.drop(Reason.SAME_TEXT)
        else:
            rows.add(row)
            pairs.used.append((record, source))
        if len(rows) >= config.methods.pairs:
            break
    held_out, trained = split_pairs([TextPair(*row) for row in rows])
    if not held_out or not trained:
        raise SourceError(
            f"only {len(rows)} usable pairs to fine-tune on: give a larger source with role 'pairs'"
        )
    return pairs


def split_pairs(pairs: Sequence[TextPair]) -> tuple[list[TextPair], list[TextPair]]:
    """(held out, trained on), by the hash of the prompt, or of the rejected side where there is none.

    All pairs of one prompt are on one side.
    """
    parts: tuple[list[TextPair], list[TextPair]] = ([], [])
    for pair in pairs:
        text = pair.prompt or pair.rejected
        digest = hashlib.blake2b(text.encode(), digest_size=4).digest()
        parts[int.from_bytes(digest, "big") % HELD_OUT_ONE_IN != 0].append(pair)
    return parts


def paraphrases(config: StudyConfig, statements: Iterable[str]) -> list[tuple[str, str]]:
    """(harmless, toxic) texts of one meaning: the study's pairs that have no prompt, such as ParaDetox's.

    At most MOST_PARAPHRASES, those whose toxic side has the smallest hash; none of which a side has the words
    of one of `statements`, on which probes are fitted. Raises SourceError as its sources do.
    """
    if not config.has_paraphrases:
        return []
    present = {words_key(text) for text in statements}
    pairs = {}
    for record, _ in records_of(open_role(config, "pairs")):
        prompt, chosen, rejected = row_of(record)
        if not prompt and chosen != rejected and present.isdisjoint(map(words_key, (chosen, rejected))):
            pairs[key_of(rejected)] = (chosen, rejected)
    return [pairs[key] for key in sorted(pairs)[:MOST_PARAPHRASES]]
