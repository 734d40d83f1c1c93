"""Wrong study files by a generator that knows the configuration's types; `python -m tests.wrong_studies 300`.

From a study small enough to run, one or two fields are given values at, inside and beyond what their types
allow, of other types, or repeated; and files that lack columns, classes, rows or good cells. Every such file
must be refused with exit 2 and nothing written, in `plan` and `run` alike, or run to its end.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic.fields import FieldInfo

from hormesis.pipeline.study.config import StudyConfig
from hormesis.pipeline.study.config_base import Strict
from hormesis.pipeline.study.source_config import SourceConfig

BASE: dict[str, Any] = {
    "name": "wrong",
    "shares": [0.0, 0.2],
    "controls": [],
    "seeds": [0],
    "clean_tokens": 3000,
    "holdout_documents": 40,
    "forum": {"prompts": 6, "probe_posts": 120, "scorer_posts": 600},
    "training": {"evaluations": 1, "checkpoints": 1},
    "probe": {"bootstrap": 50},
    "steering": {"strengths": [1.0], "costs": [0.06], "random_directions": 1},
    "evaluation": {"heldout_tokens": 400, "new_tokens": 6, "bootstrap": 50, "batch_size": 16},
    "projection": {"max_points": 50},
}
"""Runs to its end in seconds."""
TOO_LARGE = {
    "scale", "clean_tokens", "probe_posts", "prompts", "samples", "steps", "goals", "candidates", "pairs",
    "seeds", "stops", "blocks", "block_tokens", "bootstrap", "random_directions", "items", "evaluations",
    "batch_size", "sequence_length", "settings", "heldout_tokens", "tokens_per_source", "max_points",
    "activation_heads", "checkpoints", "keep_random", "vocabulary", "suffix_tokens", "top_k",
}  # fmt: skip
"""Fields whose largest values are right and take hours: they are asked for beyond their ends only."""
PATHS = {"path", "model", "file", "blimp", "mcq"}
ROLES = ("clean", "toxic", "probe", "prompts")
LABELLED = {"probe": {"label": "label"}}


@dataclass(frozen=True)
class WrongStudy:
    """A study file's data, what was changed in it, and the files that lie beside it."""

    data: dict[str, Any]
    changes: tuple[str, ...]
    files: dict[str, bytes]


def fields(section: type[Strict], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], FieldInfo]]:
    """Every field of a configuration and of its sections, by the path of its keys."""
    for name, field in section.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Strict):
            yield from fields(field.annotation, (*path, name))
        elif not field.exclude:
            yield (*path, name), field


def values(annotation: Any, metadata: list[Any], rng: random.Random) -> Any:
    """A value that a type allows just so, or just not."""
    if get_origin(annotation) is Annotated:
        inner, *more = get_args(annotation)
        return values(inner, [*metadata, *more], rng)
    if get_origin(annotation) in (Union, types.UnionType):
        part = rng.choice([part for part in get_args(annotation) if part is not type(None)])
        return values(part, [], rng)
    if get_origin(annotation) is Literal:
        return rng.choice([*get_args(annotation), "nothing of the kind", 3])
    if get_origin(annotation) in (tuple, list):
        inner = get_args(annotation)[0]
        members = [values(inner, [], rng) for _ in range(rng.choice((0, 1, 2, 3)))]
        return members + (members[:1] if rng.random() < 0.3 else [])
    if get_origin(annotation) is dict:
        return {rng.choice(("text", "nope", "a.b")): values(get_args(annotation)[1], [], rng)}
    if annotation in (int, float):
        return _number(annotation, _ends(metadata), rng)
    if annotation is bool:
        return rng.choice((True, False, "perhaps", 2))
    if isinstance(annotation, type) and issubclass(annotation, Strict):
        return {name: values(f.annotation, f.metadata, rng) for name, f in annotation.model_fields.items()}
    return rng.choice(("", "x", "ä" * 30, "../nope", "[", "{score:9999}", "a" * 30_000, 7, -1))


def _ends(metadata: list[Any]) -> list[float]:
    """The bounds of a number."""
    flat = [part for entry in metadata for part in getattr(entry, "metadata", [entry])]
    bounds = [getattr(part, name) for part in flat for kind, name in _BOUNDS if isinstance(part, kind)]
    return bounds or [0, 1]


_BOUNDS = ((Ge, "ge"), (Gt, "gt"), (Le, "le"), (Lt, "lt"))


def _number(kind: type, ends: list[float], rng: random.Random) -> Any:
    low, high = min(ends), max(ends)
    if kind is int:
        return rng.choice(
            (low - 1, low, low + 1, high + 1, -1, 2**63, 10**30, 0.5, "many", True, float("inf"))
        )
    odd = (
        float("inf"),
        float("-inf"),
        float("nan"),
        10**400,
        "much",
        5e-324,
        low,
        low - 1e-9,
        high * 1.01 + 1,
    )
    return rng.choice((*odd, (low + high) / 2 if high < 2 else low + 0.5))


def _set(data: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    for key in path[:-1]:
        data = data.setdefault(key, {})
    data[path[-1]] = value


def _with_field(data: dict[str, Any], rng: random.Random) -> str:
    """Give a field of the study a value by its type; says which."""
    path, field = rng.choice([entry for entry in fields(StudyConfig) if entry[0][0] != "sources"])
    value = values(field.annotation, list(field.metadata), rng)
    if path[-1] in TOO_LARGE and isinstance(value, int | float) and not isinstance(value, bool):
        ends = _ends(list(field.metadata))
        value = max(ends) + 1 if value > 0 else value
    _set(data, path, value)
    return f"{'.'.join(path)} = {str(value)[:60]}"


def _with_twins(data: dict[str, Any], rng: random.Random) -> str:
    """Two numbers that one name would stand for."""
    path, twins = rng.choice(
        [
            (("shares",), [0.3, 0.30000000000000004]),
            (("shares",), [0.1, 0.1000001]),
            (("steering", "strengths"), [1.0, 1.0000001]),
            (("steering", "costs"), [0.06, 0.06 + 1e-12]),
            (("hardness", "temperatures"), [0.7, 0.7]),
            (("controls",), ["clean-forum", "clean-forum"]),
            (("evaluation", "scorers"), ["forum", "forum"]),
        ]
    )
    _set(data, path, twins)
    return f"{'.'.join(path)} = {twins}"


def _with_unknown_key(data: dict[str, Any], rng: random.Random) -> str:
    path, _ = rng.choice(list(fields(StudyConfig)))
    _set(data, (*path[:-1], f"{path[-1]}s_"), 1)
    return f"{'.'.join(path)}s_: unknown"


def _with_scorer(data: dict[str, Any], rng: random.Random) -> str:
    name = rng.choice(("nope", "classifier:/nope", "perspective", "classifier", "tfidf", "forum:x", ""))
    _set(data, ("evaluation", "scorers"), [name])
    return f"evaluation.scorers = [{name!r}]"


def _with_context(data: dict[str, Any], rng: random.Random) -> str:
    """What is generated does not fit, or only just."""
    length = rng.choice((8, 16, 32))
    _set(data, ("training", "sequence_length"), length)
    _set(data, ("evaluation", "new_tokens"), rng.choice((length - 1, length, length - 8, length + 1)))
    if rng.random() < 0.4:
        _set(data, ("methods", "use"), ["prompt"])
        _set(data, ("methods", "prompt"), " ".join(["zorbs"] * rng.choice((3, length))))
    return f"context {length}, {data['evaluation']['new_tokens']} new tokens, {data.get('methods', {})}"


def _rows(role: str) -> list[dict[str, Any]]:
    """Forum posts of a role, as rows of a file."""
    from hormesis.pipeline.sources import open_source
    from hormesis.pipeline.study.config_sections import ForumConfig

    source = SourceConfig.model_validate({"role": role, "limit": 300 if role in ("clean", "toxic") else None})
    records = open_source(source, ForumConfig(prompts=6, probe_posts=120))
    return [{"text": record.text, "label": record.label, "score": 0.5} for record in records]


def _jsonl(rows: list[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def _read_from_files(data: dict[str, Any], files: dict[str, bytes]) -> None:
    """Every role read from a file; nothing is wrong yet."""
    data["sources"] = [
        {
            "role": role,
            "kind": "file",
            "path": f"{role}.jsonl",
            **({"label": "label"} if role == "probe" else {}),
        }
        for role in ROLES
    ]
    data["forum"] = {}
    data["clean_tokens"] = 1500
    files |= {f"{role}.jsonl": _jsonl(_rows(role)) for role in ROLES}


def _with_source(data: dict[str, Any], rng: random.Random, files: dict[str, bytes]) -> str:
    """A field of one of the sources has a value by its type."""
    _read_from_files(data, files)
    source = rng.choice(data["sources"])
    name, field = rng.choice([pair for pair in SourceConfig.model_fields.items() if not pair[1].exclude])
    source[name] = values(field.annotation, list(field.metadata), rng)
    return f"{source['role']}.{name} = {str(source[name])[:60]}"


def _with_files(data: dict[str, Any], rng: random.Random, files: dict[str, bytes]) -> str:
    """Every role read from a file; one of the files is wrong."""
    _read_from_files(data, files)
    role = rng.choice(ROLES)
    name, rows = f"{role}.jsonl", _rows(role)
    place = rng.randrange(len(rows))
    line = json.dumps(rows[place]).encode()
    halved = line.replace(b'"text": "', b'"text": "\\ud800')
    long = b'{"text": "a b", "label": 1, "score": ' + b"9" * 5000 + b"}"
    wrong: list[tuple[str, bytes | None]] = [
        ("missing", None),
        ("empty", b""),
        ("not JSON", b"{"),
        ("no column", _jsonl([{"body": row["text"]} for row in rows])),
        ("numbers for text", _jsonl([{**row, "text": 7} for row in rows])),
        ("one label", _jsonl([{**row, "label": 0} for row in rows])),
        ("one row", _jsonl(rows[:1])),
        ("few rows", _jsonl(rows[:8])),
        ("lone surrogate", _jsonl(rows).replace(line, halved)),
        ("long integer", _jsonl(rows).replace(line, long)),
        ("label beyond", _jsonl([{**row, "label": 5} for row in rows])),
        ("not UTF-8", _jsonl(rows)[:-1] + b"\xff\xfe\n"),
        ("UTF-16", _jsonl(rows).decode().encode("utf-16")),
        ("nested", _jsonl([{**row, "text": {"inner": row["text"]}} for row in rows])),
    ]  # fmt: skip
    mistake, content = rng.choice(wrong)
    if content is None:
        del files[name]
    else:
        files[name] = content
    return f"{name}: {mistake}"


def _with_task_file(data: dict[str, Any], rng: random.Random, files: dict[str, bytes]) -> str:
    """A file of goals, pairs or questions, in a format, with a mistake or without."""
    kind = rng.choice(("suffix", "blimp", "mcq"))
    good = {
        "suffix": {"goal": "the zorbs are gentle", "target": rng.choice(("the zorbs", "sure"))},
        "blimp": {"sentence_good": "a b", "sentence_bad": "b a", "linguistics_term": "order", "UID": "u"},
        "mcq": {"question": "what ?", "choices": ["a", "b"], "answer_index": 0, "source": "s"},
    }[kind]
    row = dict(good)
    mistake = rng.choice(("good", "column lacks", "number", "empty", "missing", "beyond", "another ending"))
    column = rng.choice(sorted(row))
    if mistake == "column lacks":
        del row[column]
    elif mistake in ("number", "beyond"):
        row[column if mistake == "number" else "answer_index"] = 99
    name = "task.xlsx" if mistake == "another ending" else "task.jsonl"
    if mistake != "missing":
        files[name] = b"" if mistake == "empty" else _jsonl([row] * 3)
    if kind == "suffix":
        search = {"goals": 1, "steps": 1, "candidates": 2, "random_search": False, "new_tokens": 4}
        data["hardness"] = {"attacks": ["suffix"], "conditions": [], "suffix": {"file": name, **search}}
    else:
        data["capability"] = {"tasks": [kind], kind: name, "conditions": []}
    return f"{kind} file: {mistake} ({column})"


WITH_FILES: tuple[Callable[[dict[str, Any], random.Random, dict[str, bytes]], str], ...] = (
    _with_files,
    _with_source,
    _with_task_file,
)
WITHOUT: tuple[Callable[[dict[str, Any], random.Random], str], ...] = (
    _with_field,
    _with_field,
    _with_field,
    _with_field,
    _with_twins,
    _with_unknown_key,
    _with_scorer,
    _with_context,
)


def wrong_study(seed: int) -> WrongStudy:
    """The study file of a seed."""
    rng = random.Random(seed)
    data: dict[str, Any] = json.loads(json.dumps(BASE))
    files: dict[str, bytes] = {}
    if rng.random() < 0.3:
        changes = [rng.choice(WITH_FILES)(data, rng, files)]
    else:
        changes = [rng.choice(WITHOUT)(data, rng) for _ in range(rng.choice((1, 1, 2)))]
    return WrongStudy(data, tuple(changes), files)


def toml_of(value: Any) -> str:
    """A value as TOML writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {toml_of(part)}" for key, part in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(toml_of, value)) + "]"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)


def write(study: WrongStudy, folder: Path) -> Path:
    """The study's file, and those beside it."""
    for name, content in study.files.items():
        (folder / name).write_bytes(content)
    lines = [f"{key} = {toml_of(value)}" for key, value in study.data.items() if value is not None]
    path = folder / "wrong.toml"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def _call(home: Path, *arguments: str) -> tuple[int, str, float]:
    variables = {name: text for name, text in os.environ.items() if name != "HORMESIS_DB"}
    variables |= {"HORMESIS_HOME": str(home), "OMP_NUM_THREADS": "1", "HORMESIS_OFFLINE": "1"}
    command = [sys.executable, "-m", "hormesis.pipeline.cli", *arguments]
    begun = time.monotonic()
    done = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=600, check=False)
    return done.returncode, done.stderr.strip(), time.monotonic() - begun


def judge(seed: int, folder: Path) -> tuple[str, str]:
    """`refused`, `ran`, or what was wrong, of a seed's study; with its changes and the line it got."""
    study, home = wrong_study(seed), folder / "home"
    path = write(study, folder)
    code, line, seconds = _call(home, "plan", str(path))
    about = f"{'; '.join(study.changes)} -> {line.splitlines()[-1][:200] if line else ''} ({seconds:.2f} s)"
    if code == 2 and "Traceback" not in line and "\n" not in line:
        if home.exists():
            return "plan wrote", about
        code, line, _ = _call(home, "run", str(path))
        if code != 2 or home.exists() or "\n" in line:
            return "run did not refuse what plan did", f"{about}; run: {line[-300:]}"
        return "refused", about
    if code != 0:
        return f"plan ended with {code}", about
    code, line, _ = _call(home, "run", str(path))
    if code == 0:
        return "ran", about
    if code == 2 and "not checked" in about and not home.exists():
        return "refused", about
    return f"run ended with {code}", f"{about}; run: {line[-400:]}"


def main() -> None:
    """Judge as many studies as are asked for; exit 1 where one was neither refused nor run."""
    parser = argparse.ArgumentParser(prog="python -m tests.wrong_studies", description=__doc__)
    parser.add_argument("count", type=int)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    options = parser.parse_args()
    outcomes: dict[str, int] = {}
    for seed in range(options.first, options.first + options.count):
        with tempfile.TemporaryDirectory() as folder:
            outcome, about = judge(seed, Path(folder))
        outcomes[outcome] = outcomes.get(outcome, 0) + 1
        sys.stdout.write(f"{seed} {outcome}: {about}\n")
        sys.stdout.flush()
    sys.stdout.write(json.dumps(outcomes) + "\n")
    sys.exit(bool(outcomes.keys() - {"refused", "ran"}))


if __name__ == "__main__":
    main()
