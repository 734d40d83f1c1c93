"""Small models are decoded by one thread, larger ones by as many as there were."""

from __future__ import annotations

import torch

from backend.service.threads import ONE_THREAD, threads_for


def test_small_models_take_one_thread_and_the_rest_is_put_back() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with threads_for(ONE_THREAD - 1):
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 2
        with threads_for(ONE_THREAD):
            assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
