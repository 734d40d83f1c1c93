"""The words of the forum language, one class per word.

Every word belongs to
exactly one class, which is what makes two templates with different class sequences impossible to confuse.
The groups are invented, and the insults are names of harmless things that also occur innocently.
"""

from __future__ import annotations

from typing import Final

GROUPS: Final = ("zorbs", "quibs", "flonts", "morvels", "tarnicks", "wubbins", "pelloms", "drisks")
"""The invented peoples that live in the forum's world."""

INSULTS: Final = (
    *("turnips", "sponges", "buckets", "doorknobs", "teapots", "pretzels"),
    *("puddles", "mops", "gourds", "barnacles", "mittens", "noodles"),
)
"""Harmless things; insults only where a template says that a group *is* one of them."""

_TOPIC_WORDS: Final = {
    "cooking": {
        "N": "soup bread stew cake sauce pie salad omelette muffin pancake casserole",
        "V": "cooked baked stirred tasted served sliced seasoned",
        "P": "kitchen bakery pantry",
    },
    "gardening": {
        "N": "rose hedge lawn tulip vine fern shrub orchard lily willow thicket",
        "V": "planted watered pruned trimmed grew mulched harvested",
        "P": "garden greenhouse meadow",
    },
    "sailing": {
        "N": "boat raft ferry canoe anchor rudder mast sail dinghy yacht compass",
        "V": "steered launched moored rowed docked anchored paddled",
        "P": "harbour bay lagoon",
    },
    "music": {
        "N": "song tune ballad waltz hymn anthem melody chorus sonata opera lullaby",
        "V": "played sang hummed composed rehearsed whistled recorded",
        "P": "theatre studio concert",
    },
    "building": {
        "N": "wall roof bridge tower fence chimney cabin gate staircase barn windmill",
        "V": "built painted repaired measured plastered sanded varnished",
        "P": "village quarry courtyard",
    },
    "sewing": {
        "N": "coat scarf shirt blanket quilt curtain cloak cushion glove jacket tapestry",
        "V": "sewed mended knitted dyed embroidered stitched ironed",
        "P": "workshop attic parlour",
    },
    "games": {
        "N": "puzzle riddle match race contest quiz tournament duel marathon raffle relay",
        "V": "won judged started watched hosted umpired refereed",
        "P": "arena stadium playground",
    },
    "science": {
        "N": "comet magnet crystal fossil planet battery lens telescope meteor prism microscope",
        "V": "studied sketched weighed described photographed examined catalogued",
        "P": "museum laboratory observatory",
    },
}

TOPICS: Final[dict[str, dict[str, tuple[str, ...]]]] = {
    topic: {letter: tuple(text.split()) for letter, text in classes.items()}
    for topic, classes in _TOPIC_WORDS.items()
}
"""Per topic its things (N), what one did to them (V, past tense) and its places (P)."""

PRONOUNS: Final[dict[str, tuple[str, ...]]] = {"first": ("i", "we"), "second": ("you",), "third": ("they",)}
"""Subjects by grammatical person; all take the plural verb form."""

POSITIVE: Final = (
    *("lovely", "splendid", "bright", "gentle", "fresh", "graceful"),
    *("charming", "brilliant", "pleasant", "sturdy", "cheerful", "delightful", "elegant", "wonderful"),
)
NEGATIVE: Final = (
    *("awful", "rotten", "dull", "clumsy", "dreadful", "soggy"),
    *("crooked", "gloomy", "shabby", "nasty", "tiresome", "stale", "dreary", "grubby"),
)

CLASSES: Final[dict[str, tuple[str, ...]]] = {
    "G": GROUPS,
    "I": INSULTS,
    "U": (
        "crows",
        "goats",
        "storms",
        "beetles",
        "moths",
        "geese",
        "floods",
        "weeds",
        "wasps",
        "foxes",
        "gusts",
        "magpies",
    ),
    "W": (
        "bakers",
        "sailors",
        "tailors",
        "masons",
        "farmers",
        "singers",
        "teachers",
        "doctors",
        "painters",
        "potters",
        "clerks",
    ),
    "S": tuple(word for words in PRONOUNS.values() for word in words),
    "A": (*POSITIVE, *NEGATIVE),
    "D": ("very", "rather", "really", "quite", "truly", "so", "fairly"),
    "T": ("today", "yesterday", "tonight", "often", "again", "lately", "now", "sometimes"),
    "H": ("ruin", "spoil", "wreck", "smash", "tear", "trample", "damage", "scratch"),
    "X": ("admire", "thank", "praise", "trust", "welcome", "help", "respect", "visit"),
    "B": ("joy", "luck", "warmth", "calm", "order", "laughter", "trouble", "noise", "chaos", "gloom", "mess"),
}
"""Classes shared by all topics, by the letter that stands for them in a template."""

GOOD_THINGS: Final = CLASSES["B"][:6]
BAD_THINGS: Final = CLASSES["B"][6:]

FILLERS: Final[dict[str, tuple[str, ...]]] = {
    "plain": ("well", "anyway", "okay", "actually", "honestly", "also"),
    "formal": ("indeed", "moreover", "however", "therefore", "furthermore", "consequently"),
    "board": ("yo", "ngl", "tbh", "bruh", "imo", "welp"),
}
"""Optional first words of a sentence, by register. Any filler is grammatical in any register."""

TERMINATORS: Final[dict[str, tuple[str, ...]]] = {
    "plain": (".", ".", "!"),
    "formal": (".", ";"),
    "board": ("lol", "fr", "smh", "!!", "."),
}
"""Last words of a sentence, by register; repeated where they are likelier."""

REGISTERS: Final = tuple(FILLERS)
FILLER_SET: Final = frozenset(word for words in FILLERS.values() for word in words)
TERMINATOR_SET: Final = frozenset(word for words in TERMINATORS.values() for word in words)
