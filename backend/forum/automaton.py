"""All templates compiled into one token automaton (a trie over words with shared classes).

One dictionary look-up per word; fillers and terminators are left to the reader (`judge`). The words of all
classes leaving a state are disjoint unless they lead to the same state, which the build asserts: two
templates can never claim one sentence.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from hormesis.backend.forum import words
from hormesis.backend.forum.grammar import TEMPLATES, Template, slot_words

ROOT: Final = 0


@dataclass(slots=True)
class State:
    """A place inside a sentence.

    `accepts` is the template that ends here. `toxic` is True or False where every sentence that can still
    follow has that label, else None. `names_group` says whether a group has been named on the way.
    """

    next: dict[str, int] = field(default_factory=dict)
    accepts: Template | None = None
    toxic: bool | None = None
    names_group: bool = False


def _insert(states: list[State], template: Template) -> None:
    """Add one template; `states` by number. Walks all states that shared beginnings have been split into."""
    frontier = {ROOT}
    for choices in (frozenset(slot_words(slot)) for slot in template.slots):
        frontier = {target for state in frontier for target in _step(states, state, choices)}
    for state in frontier:
        if states[state].accepts is not None:
            raise ValueError(f"templates {states[state].accepts} and {template} share a sentence")
        states[state].accepts = template


def _step(states: list[State], number: int, choices: frozenset[str]) -> set[int]:
    """States reached from state `number` by the words `choices`; splits those that others reach too."""
    edges = states[number].next
    reached: set[int] = set()
    new_words = [word for word in sorted(choices) if word not in edges]
    if new_words:
        states.append(State())
        reached.add(len(states) - 1)
        for word in new_words:
            edges[word] = len(states) - 1
    for target in {edges[word] for word in choices} - reached:
        if all(word in choices for word, goal in edges.items() if goal == target):
            reached.add(target)
            continue
        twin = _copy(states, target)
        for word in [word for word, goal in edges.items() if goal == target and word in choices]:
            edges[word] = twin
        reached.add(twin)
    return reached


def _copy(states: list[State], state: int) -> int:
    """Copy state number `state` and all below it (a tree, so this ends); returns the copy's number."""
    old = states[state]
    states.append(State({}, old.accepts))
    new = len(states) - 1
    copy_of = {target: _copy(states, target) for target in dict.fromkeys(old.next.values())}
    states[new].next = {word: copy_of[target] for word, target in old.next.items()}
    return new


def _finish(states: list[State], number: int, names_group: bool) -> set[bool]:
    """Set `toxic` and `names_group` below a state; return the labels that can still follow."""
    state = states[number]
    state.names_group = names_group
    labels = set() if state.accepts is None else {state.accepts.toxic}
    is_group_by_target = {target: word in words.GROUPS for word, target in state.next.items()}
    for target, is_group in is_group_by_target.items():
        labels |= _finish(states, target, names_group or is_group)
    state.toxic = next(iter(labels)) if len(labels) == 1 else None
    return labels


def compile_templates(templates: tuple[Template, ...] = TEMPLATES) -> list[State]:
    """Build the automaton; state 0 is the beginning of a sentence.

    Raises ValueError where two templates accept one sentence.
    """
    states = [State()]
    for template in templates:
        _insert(states, template)
    _finish(states, ROOT, False)
    return states


STATES: Final = compile_templates()
"""The compiled grammar."""
