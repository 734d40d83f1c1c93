"""How many threads decode a model. Knows torch's thread count, nothing of requests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

ONE_THREAD = 20_000_000
"""Parameters below which one thread decodes.

The products of so small a model are over before a second thread has woken up, and beside a study that fills
the cores, threads that wait for each other stand still: measured with 0.5M parameters and two busy cores, 40
tokens take 0.6 s with one thread and 30 to 50 s with two.
"""


@contextmanager
def threads_for(parameters: int) -> Iterator[None]:
    """Within the block, this thread decodes with one thread where the model is small."""
    import torch

    usual = torch.get_num_threads()
    torch.set_num_threads(1 if parameters < ONE_THREAD else usual)
    try:
        yield
    finally:
        torch.set_num_threads(usual)
