"""The data of the toy experiment: three cyclic chains, the mixture of a share, and seeded draws.

Knows numbers only. Feature 4 k + s is state s of chain k; chain 0 is the rare one. Every sequence is fixed by
its chain and first state, so there are 12 of them, and a drawn batch is a count over the 12.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

CHAINS, STATES = 3, 4
FEATURES = CHAINS * STATES
CHAIN = np.repeat(np.arange(CHAINS), STATES)
BLOCK = 50
"""Steps whose random numbers are drawn together."""
RARE = CHAIN == 0
"""Which features belong to the rare chain, [12]."""
_CYCLES = ((0, 1, 2, 3), (0, 2, 3, 1), (0, 3, 1, 2))
"""Three cycles through the shared states. Any two share exactly one step: with four states and three cycles
no choice shares none, and this one treats the chains alike."""


def successors(*, shared: bool) -> NDArray[np.int64]:
    """Next token of each token: [chains, 4] over the shared states, or [1, 12] over tokens of their own."""
    if shared:
        next_states = np.empty((CHAINS, STATES), dtype=np.int64)
        for chain, cycle in enumerate(_CYCLES):
            next_states[chain, list(cycle)] = np.roll(cycle, -1)
        return next_states
    state = np.arange(FEATURES)
    return (state - state % STATES + (state + 1) % STATES)[None]


def sequences(length: int, *, shared: bool) -> NDArray[np.int64]:
    """The 12 sequences by chain and first state, with one token more than is read: [12, length + 1]."""
    next_states = successors(shared=shared)
    tokens = np.empty((FEATURES, length + 1), dtype=np.int64)
    tokens[:, 0] = np.arange(FEATURES) % STATES if shared else np.arange(FEATURES)
    for place in range(length):
        tokens[:, place + 1] = next_states[CHAIN if shared else 0, tokens[:, place]]
    return tokens


def informed(tokens: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Where the tokens read so far settle the chain: [12, length] for sequences [12, length + 1].

    Only there has the network a way to know which feature it sees, and which token comes next.
    """
    length = tokens.shape[1] - 1
    is_settled = np.zeros((len(tokens), length), dtype=bool)
    for place in range(length):
        prefixes = tokens[:, : place + 1]
        same_prefix = (prefixes[:, None] == prefixes[None]).all(axis=-1)
        is_settled[:, place] = ~(same_prefix & (CHAIN[:, None] != CHAIN[None])).any(axis=1)
    return is_settled


def features_of(tokens: NDArray[np.int64], *, shared: bool) -> NDArray[np.int64]:
    """Feature of each token read, [12, length]: its chain's number times 4 plus its state."""
    states = tokens[:, :-1] if shared else tokens[:, :-1] % STATES
    return STATES * CHAIN[:, None] + states


def mixture(share: float) -> NDArray[np.float64]:
    """Probability of each of the 12 features (or sequences): the rare chain `share` times as often."""
    weight = np.where(RARE, share, 1.0)
    return np.asarray(weight / weight.sum())


def uniforms(seed: int, stream: int, block: int, *, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Uniform numbers for one block of steps, [BLOCK, *shape]; they depend on these arguments alone.

    Runs of one seed at several shares see the same numbers through different mixtures (common random
    numbers), and company in a batch changes nothing. `stream`: a number for each use.
    """
    return np.random.default_rng((seed, stream, block)).random((BLOCK, *shape))


def counts(uniform: NDArray[np.float64], share: float) -> NDArray[np.float64]:
    """Part of each step's batch that each of the 12 sequences makes up: [steps, batch] to [steps, 12]."""
    edges = np.cumsum(mixture(share))[:-1]
    sequence = np.searchsorted(edges, uniform, side="right")
    steps, batch = uniform.shape
    flat = np.bincount((sequence + FEATURES * np.arange(steps)[:, None]).ravel(), minlength=FEATURES * steps)
    return np.asarray(flat.reshape(steps, FEATURES) / batch)
