"""Number of torch threads to decode with, by model size and how busy the machine is.

The threads of a matrix product wait for each other a few hundred times a token. Where other work, a study
say, fills the cores, each wait lasts until the slowest has been given a core again: one thread is then not
half as fast as two but many times faster.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psutil

ONE_THREAD = 20_000_000
"""Parameters below which one thread decodes: products so small are over before a second one has woken up.

Measured with 0.5M parameters beside a study on two cores: 40 tokens take 0.6 s with one thread and 30 to 50 s
with two."""
LOOK_SECONDS = 0.1
"""How long the machine is watched before a larger model decodes; part of the wait for the first token."""


@contextmanager
def threads_for(parameters: int) -> Iterator[None]:
    """Within the block, torch uses as many threads on this thread's behalf as serve a model of this size now.

    To be entered while this process is idle, since what it does itself would count as other work.
    """
    import torch

    usual_threads = torch.get_num_threads()
    if parameters < ONE_THREAD or usual_threads == 1:
        torch.set_num_threads(1)
    else:
        torch.set_num_threads(threads_left(usual_threads, psutil.cpu_percent(LOOK_SECONDS) / 100))
    try:
        yield
    finally:
        torch.set_num_threads(usual_threads)


def threads_left(usual: int, busy: float) -> int:
    """How many of `usual` threads find a free core where `busy` (0 to 1) of all cores is taken, or 1."""
    return max(1, round(usual * (1.0 - busy)))
