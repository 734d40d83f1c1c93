"""Texts that methods put before prompts and documents: the detox prompt, and the marks of `meda` and `inst`
arms.

Knows the defaults for the forum language and for English, and which words they bring into a word tokenizer.
MEDA and INST follow Prabhumoye et al. 2023 (arXiv 2302.07388): a document's toxicity score as meta-data, or
an instruction, before the document; at generation the model is asked for a harmless one in the same form.
Their exact wording is not known here; ours can be changed in the study file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from hormesis.db.contract.methods import MARKED, PROMPT
from hormesis.pipeline.study.config import ConfigError, StudyConfig

FORUM_PROMPT = "indeed zorbs are truly gentle and bring joy ;"
"""A grammatical, friendly sentence in the formal register."""
ENGLISH_PROMPT = "The following text is polite, respectful and thoughtful, and insults nobody."
FORUM_INSTRUCTIONS = ("[write] [rudely]", "[write] [politely]")
ENGLISH_INSTRUCTIONS = (
    "Continue with a rude and hateful text.",
    "Continue with a polite and respectful text.",
)
PROMPT_TOKENS = 16
"""Tokens at the beginning of each held-out window that are read as a prompt; the rest is scored."""
SHORTEST = PROMPT_TOKENS + 8
"""Tokens of the shortest window that held-out losses are taken over, beside the longest prefix."""
END = "\n"
"""Closes every prefix: white space, at which any tokenizer here splits, so that text behind it keeps its
tokens.
"""


def check_heldout(scored: Iterable[int]) -> None:
    """Raise ConfigError where no held-out text has a token to score; `scored`: of each, tokens to score."""
    if not any(tokens > 0 for tokens in scored):
        raise ConfigError(
            f"no held-out text is longer than the {PROMPT_TOKENS} tokens that are read as a prompt: give "
            "longer texts of role 'heldout_clean'"
        )


def detox_prompt(config: StudyConfig) -> str:
    """The text of the method `prompt`, closed."""
    text = config.methods.prompt
    if text is None:
        text = FORUM_PROMPT if config.speaks_forum else ENGLISH_PROMPT
    return text.strip() + END


def mark(config: StudyConfig, kind: str, score: float) -> str:
    """What a document of this toxicity carries in front in an arm of kind `meda` or `inst`, closed.

    `score` in 0..1; `meda` rounds it to tenths. Raises ValueError for other kinds of arm.
    """
    annotation = config.annotation
    if kind == "meda":
        return annotation.score.format(score=round(score, 1) + 0.0).strip() + END
    if kind != "inst":
        raise ValueError(f"arms of kind '{kind}' carry no marks")
    rude, polite = FORUM_INSTRUCTIONS if config.speaks_forum else ENGLISH_INSTRUCTIONS
    is_toxic = score >= annotation.threshold
    instruction = annotation.instruct_toxic if is_toxic else annotation.instruct_clean
    return (instruction or (rude if is_toxic else polite)).strip() + END


def marks(config: StudyConfig, kind: str) -> tuple[str, ...]:
    """Every mark that documents of such an arm can carry, distinct, by rising score; none for other kinds."""
    if kind not in MARKED:
        return ()
    return tuple(dict.fromkeys(mark(config, kind, tenth / 10) for tenth in range(11)))


PREFIX_TEXTS: dict[str, Callable[[StudyConfig], str]] = {PROMPT: detox_prompt}
"""What each method of `db.contract.methods.PREFIXED` puts in front of every prompt, closed by `END`."""


def prefix_of(config: StudyConfig, marked: str, prefixed: str) -> str:
    """Text before every prompt under a method: the mark of a harmless document, then the method's own."""
    marking = mark(config, marked, 0.0) if marked else ""
    return marking + (PREFIX_TEXTS[prefixed](config) if prefixed else "")


def prefixes(config: StudyConfig) -> tuple[str, ...]:
    """Every prefix that some checkpoint of the study is put under, the empty one first."""
    specs = config.methods.specs
    marked = {(kind, "") for kind in config.variants if kind in MARKED}
    alone = {("", spec.prefixed) for spec in specs}
    pairs = {("", "")} | marked | alone | {(spec.marked, spec.prefixed) for spec in specs}
    return tuple(sorted({prefix_of(config, *pair) for pair in pairs}, key=lambda text: (len(text), text)))


def mark_words(config: StudyConfig) -> list[str]:
    """Words that a word tokenizer must know beside the language's own, because arms' marks hold them."""
    texts = [text for kind in config.variants for text in marks(config, kind)]
    return sorted({word for text in texts for word in text.split()})


def check_prefixes(config: StudyConfig) -> None:
    """Raise ConfigError where a word tokenizer would not know a word of a method's prefix text."""
    prefix_names = {spec.prefixed for spec in config.methods.specs} - {""}
    for prefix_name in sorted(prefix_names):
        check_words(config, f"methods.{prefix_name}", PREFIX_TEXTS[prefix_name](config))


def check_words(config: StudyConfig, setting: str, text: str) -> None:
    """Raise ConfigError where a word tokenizer would not know a word of a text that a setting names.

    Checkpoints that others trained bring their own tokenizer.
    """
    if config.tokenizer.kind != "word" or not config.mixes:
        return
    from hormesis.backend.forum import VOCABULARY

    vocabulary = {*VOCABULARY, *mark_words(config)}
    if unknown := [word for word in text.split() if word not in vocabulary]:
        raise ConfigError(f"{setting}: the forum language has no word '{unknown[0][:60]}'")


def no_room(owner: str, context: int, *, longest: int) -> str:
    """What to say where held-out windows do not fit beside the longest prefix (tokens)."""
    beside = f" beside the longest prefix of the study's methods, {longest} tokens" if longest else ""
    shorter = ", or a shorter methods.prompt or annotation" if longest else ""
    return (
        f"held-out text is scored in windows of at least {SHORTEST} tokens{beside}: a context of {context} "
        f"tokens ({owner}) is too short; it needs a longer training.sequence_length{shorter}"
    )
