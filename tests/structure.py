"""Structure of the code in numbers: rooms, circles of imports, lines, names; `python -m tests.structure`.

Reads git's list of files and each file's syntax tree; imports nothing of the project. `--json` prints the
numbers as JSON, `--names` and `--circles` the places behind them. Like lines are counted by pylint where it
is installed (minutes); `--quick` leaves them out.
"""

from __future__ import annotations

import argparse
import ast
import json
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
LAYERS = ("db", "backend", "pipeline", "dashboard")
PACKAGE = "hormesis"
VAGUE_WORDS = """
found one made mine known said kept shown facts wanted every asked given whole seen told taken ours
drawn picked held gone named placed worked own here there what each both ones theirs thing things stuff
"""
VAGUE = frozenset(VAGUE_WORDS.split())
MANY_ARGUMENTS = 6
POSITIONAL_PARAMETERS = 3
LIKE_LINES = 6


@dataclass(frozen=True)
class Module:
    """A Python file: its place in the repository, its dotted name without the package, its syntax tree."""

    path: PurePosixPath
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, str(self.path))

    @cached_property
    def nodes(self) -> list[ast.AST]:
        """Every node of the tree, walked once for all that is counted."""
        return list(ast.walk(self.tree))

    @property
    def is_package(self) -> bool:
        return self.path.name == "__init__.py"

    @property
    def name(self) -> str:
        return ".".join(self.path.parent.parts if self.is_package else self.path.with_suffix("").parts)

    @property
    def folder(self) -> str:
        """The room it stands in; a file at the root of a layer is a room of its own."""
        if len(self.path.parts) == 2:
            return self.name
        return str(self.path.parent)


def modules(root: Path = ROOT) -> list[Module]:
    """Every Python file of the layers and the tests that git lists (new ones that it does not ignore too)."""
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.py"],
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
    )
    paths = [PurePosixPath(line) for line in sorted(set(listing.stdout.splitlines()))]
    return [
        Module(path, (root / path).read_text(encoding="utf-8"))
        for path in paths
        if path.parts[0] in (*LAYERS, "tests") and (root / path).is_file()
    ]


def imported_modules(module: Module, names: set[str]) -> set[str]:
    """Modules among `names` that a module imports, late imports and those for types included."""
    targets: set[str] = set()
    for node in module.nodes:
        if isinstance(node, ast.Import):
            targets |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = module.name.split(".") if module.is_package else module.name.split(".")[:-1]
                base = ".".join([*package[: len(package) - node.level + 1], *([base] if base else [])])
            inner = {f"{base}.{alias.name}" for alias in node.names}
            layered = {name.removeprefix(f"{PACKAGE}.") for name in inner}
            targets |= inner if layered <= names else inner | {base}
    return {name.removeprefix(f"{PACKAGE}.") for name in targets} & (names - {module.name})


def import_graph(source: list[Module]) -> dict[str, set[str]]:
    """From each module's name to the names it imports."""
    names = {module.name for module in source}
    return {module.name: imported_modules(module, names) for module in source}


def folder_graph(source: list[Module]) -> dict[str, set[str]]:
    """The imports between folders: each folder with those it imports from."""
    folders = {module.name: module.folder for module in source}
    arrows: dict[str, set[str]] = {folder: set() for folder in folders.values()}
    for name, targets in import_graph(source).items():
        arrows[folders[name]] |= {folders[target] for target in targets} - {folders[name]}
    return arrows


def circles(arrows: dict[str, set[str]]) -> list[list[str]]:
    """Groups that reach each other (strongly connected components of two or more), each sorted."""
    reach = {start: _reachable(start, arrows) for start in arrows}
    groups = {
        tuple(sorted(other for other in reach[start] if start in reach[other]))
        for start in arrows
        if start in reach[start]
    }
    return [list(group) for group in sorted(groups) if len(group) > 1]


def _reachable(start: str, arrows: dict[str, set[str]]) -> set[str]:
    reached: set[str] = set()
    waiting = [start]
    while waiting:
        fresh = arrows.get(waiting.pop(), set()) - reached
        reached |= fresh
        waiting += fresh
    return reached


def vague_names(module: Module) -> Iterator[tuple[int, str]]:
    """Line and name of every binding whose name is one of `VAGUE`, underscores at its ends aside."""
    for node in module.nodes:
        for name in _bound_names(node):
            if name.strip("_") in VAGUE:
                yield getattr(node, "lineno", 0), name


def _bound_names(node: ast.AST) -> list[str]:
    match node:
        case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
            return [name]
        case ast.arg(arg=name) | ast.ExceptHandler(name=str(name)):
            return [name]
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) if name.startswith("_"):
            return [name]
        case ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
            return [name]
        case _:
            return []


def long_calls(module: Module) -> list[int]:
    """Lines of calls with six or more positional arguments."""
    calls = (node for node in module.nodes if isinstance(node, ast.Call))
    return [call.lineno for call in calls if len(call.args) >= MANY_ARGUMENTS]


def long_signatures(module: Module) -> list[int]:
    """Lines of functions whose fourth or later parameter (`self` aside) may be given by its position."""
    lines = []
    for node in module.nodes:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            names = [argument.arg for argument in (*node.args.posonlyargs, *node.args.args)]
            if len(names) - (names[:1] in (["self"], ["cls"])) > POSITIONAL_PARAMETERS:
                lines.append(node.lineno)
    return lines


def duplicated_places(root: Path = ROOT) -> int | None:
    """Groups of places in the source with six or more like lines, by pylint; None where it is absent."""
    command = [sys.executable, "-m", "pylint", "--disable=all", "--enable=duplicate-code", "--score=n"]
    command += [f"--min-similarity-lines={LIKE_LINES}", "--output-format=json2", "--rcfile="]
    command += [f"--ignore-{part}=y" for part in ("imports", "docstrings", "signatures", "comments")]
    result = subprocess.run([*command, *LAYERS], cwd=root, capture_output=True, text=True, check=False)
    if "No module named pylint" in result.stderr or not result.stdout:
        return None
    return len(json.loads(result.stdout)["messages"])


def files_with(text: str, root: Path = ROOT) -> list[str]:
    """Files of the layers, of any kind, that hold a text."""
    command = ["git", "grep", "--untracked", "-lF", text, "--", *LAYERS]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=False).stdout.splitlines()


def vague_count(source: Iterable[Module]) -> int:
    """Bindings in all of these modules that have a vague name."""
    return sum(1 for module in source for _ in vague_names(module))


def modules_per_folder(source: Iterable[Module]) -> Counter[str]:
    """Modules in each folder, the package's own file aside."""
    return Counter(str(module.path.parent) for module in source if not module.is_package)


def measures(root: Path = ROOT, quick: bool = False) -> dict[str, Any]:
    """Every number by its title, in the order of the table."""
    files = modules(root)
    source = [module for module in files if module.path.parts[0] != "tests"]
    tests = [module for module in files if module.path.parts[0] == "tests"]
    sizes, arrows = modules_per_folder(source), folder_graph(source)
    largest, most = sizes.most_common(1)[0]
    table: dict[str, Any] = {"files of source": len(source), "files of tests": len(tests)}
    table |= {f"modules at the root of {layer}": sizes[layer] for layer in LAYERS}
    table |= {"modules in the largest folder": most, "largest folder": largest}
    table |= {"folders": len(arrows), "arrows between folders": sum(map(len, arrows.values()))}
    table["circles between folders"] = len(circles(arrows))
    table["circles between modules"] = len(circles(import_graph(source)))
    for title, part in (("source", source), ("tests", tests)):
        table[f"lines of {title}"] = sum(module.text.count("\n") for module in part)
        table[f"vague identifiers in {title}"] = vague_count(part)
    if not quick:
        table["duplicated places"] = duplicated_places(root)
    table["calls with six or more positional arguments"] = sum(len(long_calls(module)) for module in source)
    table["functions with a fourth positional parameter"] = sum(len(long_signatures(part)) for part in source)
    table['files of source with "dpo"'] = len(files_with('"dpo"', root))
    return table


def main() -> None:
    """Print the table, or what is asked for instead."""
    parser = argparse.ArgumentParser(prog="python -m tests.structure", description=__doc__)
    parser.add_argument("--json", action="store_true", help="the numbers as JSON")
    parser.add_argument("--quick", action="store_true", help="leave out the count of like lines")
    parser.add_argument("--names", action="store_true", help="vague identifiers by word, then each place")
    parser.add_argument("--circles", action="store_true", help="who is in a circle of imports")
    options = parser.parse_args()
    files = modules()
    source = [module for module in files if module.path.parts[0] != "tests"]
    if options.names:
        places: dict[str, list[str]] = defaultdict(list)
        for module in files:
            for line, name in vague_names(module):
                places[name.strip("_")].append(f"{module.path}:{line}: {name}")
        for word, lines in sorted(places.items(), key=lambda entry: -len(entry[1])):
            print(word, len(lines), *lines, sep="\n  ")
    elif options.circles:
        for group in circles(folder_graph(source)) + circles(import_graph(source)):
            print(" <-> ".join(group))
    else:
        table = measures(quick=options.quick)
        text = (f"{title:<46}{'-' if value is None else value:>12}" for title, value in table.items())
        print(json.dumps(table, indent=2) if options.json else "\n".join(text))


if __name__ == "__main__":
    main()
