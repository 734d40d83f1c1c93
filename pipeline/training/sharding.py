"""Sharded training (FSDP2, `torch.distributed.fsdp.fully_shard`): each process holds a part of one model.

Weights, gradients and optimiser state are split by rows (DTensors, `Shard(0)`). A layer's weights are
gathered when it computes and let go afterwards (ZeRO stage 3: Rajbhandari et al. 2020, arXiv 1910.02054). On
disk a checkpoint is that of an unsharded training, so any number of processes goes on with it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from safetensors import safe_open
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from transformers import PreTrainedModel
from transformers.trainer import OPTIMIZER_NAME, SCHEDULER_NAME

from hormesis.backend.model.sites import ModelError
from hormesis.backend.model.soundness import require_finite
from hormesis.pipeline.training.loop import MixTrainer


def sharded(build: Callable[[], PreTrainedModel], *, bf16: bool) -> PreTrainedModel:
    """The model that `build` gives in every process alike, sharded over all processes.

    The processes of a machine build one after another: its memory holds one unsharded model at a time.
    `bf16`: layers are gathered in bfloat16, which autocast would cast their weights to in any case; the
    embedding, the stream between layers, sums of gradients and what the optimiser sees stay float32.
    """
    mesh = init_device_mesh("cuda" if torch.cuda.is_available() else "cpu", (dist.get_world_size(),))
    in_layers = MixedPrecisionPolicy(
        param_dtype=torch.bfloat16 if bf16 else None, reduce_dtype=torch.float32, cast_forward_inputs=False
    )
    for turn in range(dist.get_world_size()):  # as many turns on every machine, however many processes it has
        if turn == int(os.environ.get("LOCAL_RANK", dist.get_rank())):
            model = build()
            for layer in model.base_model.layers:  # type: ignore[union-attr]
                fully_shard(layer, mesh=mesh, mp_policy=in_layers)
            fully_shard(model, mesh=mesh)  # the embedding, once where it is tied to the output layer
        dist.barrier()
    return model


@torch.no_grad()
def unsharded(tensor: torch.Tensor) -> torch.Tensor:
    """A tensor whose parts the processes hold, on the CPU; empty in all processes but the first.

    Every process must call it alike. A tensor that is not sharded is given back.
    """
    if not isinstance(tensor, DTensor):
        return tensor
    gathered: torch.Tensor = tensor.full_tensor()
    return gathered.cpu() if dist.get_rank() == 0 else torch.empty(0)


def unsharded_weights(model: nn.Module) -> dict[str, torch.Tensor]:
    """Every weight by name (a tied one once), as `unsharded` gives it."""
    for module in model.modules():
        if isinstance(module, FSDPModule):  # the embedding stays gathered after held-out losses
            module.reshard()
    return {name: unsharded(weight) for name, weight in model.named_parameters()}


def require_finite_parts(model: nn.Module, source: str) -> None:
    """Raise ModelError, in all processes, where the part that any of them holds is not finite."""
    problem: ModelError | None = None
    try:
        require_finite(model, source)  # a process sees its own rows
    except ModelError as error:
        problem = error
    problems = [problem] * dist.get_world_size()
    dist.all_gather_object(problems, problem)
    for problem in filter(None, problems):
        raise problem


def _part(tensor: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """This process's rows of a tensor of a weight's shape; other tensors (a count of steps) as they are."""
    if not isinstance(weight, DTensor) or tensor.shape != weight.shape:
        return tensor
    return distribute_tensor(tensor, weight.device_mesh, weight.placements, src_data_rank=None)


class ShardedTrainer(MixTrainer):
    """`MixTrainer` of a `sharded` model: its checkpoints are gathered when saved and divided when loaded."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.is_distributed_loading_by_transformers = True  # the Trainer's word for: wrap it in nothing

    def _move_model_to_device(self, model: nn.Module, device: torch.device) -> None:
        """Nothing: `fully_shard` has."""

    @contextmanager
    def _defer_fsdp_gradient_reduction(self) -> Iterator[None]:
        """Reduce after every micro batch: waiting for the last would keep all gradients in every process."""
        yield

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None) -> None:
        weights = unsharded_weights(self.bare_model)
        if self.args.should_save:
            super()._save(output_dir, weights)

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        assert self.optimizer is not None and self.lr_scheduler is not None
        values = self.optimizer.state_dict()
        values["state"] = {
            index: {name: unsharded(tensor) for name, tensor in state.items()}
            for index, state in values["state"].items()
        }
        if self.args.should_save:
            torch.save(values, Path(output_dir) / OPTIMIZER_NAME)
            torch.save(self.lr_scheduler.state_dict(), Path(output_dir) / SCHEDULER_NAME)

    @torch.no_grad()
    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        weights = dict(self.bare_model.named_parameters())
        for path in Path(resume_from_checkpoint).glob("model*.safetensors"):
            with safe_open(path, "pt") as file:
                for name in file.keys():  # noqa: SIM118  (not a dict)
                    weight = weights.pop(name)
                    weight.copy_(_part(file.get_tensor(name), weight))
        if weights:
            raise KeyError(f"'{resume_from_checkpoint}' lacks {', '.join(weights)}")

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        if checkpoint is None:
            return
        assert self.optimizer is not None and self.lr_scheduler is not None
        values = torch.load(Path(checkpoint) / OPTIMIZER_NAME, "cpu", weights_only=True, mmap=True)
        weights = [weight for group in self.optimizer.param_groups for weight in group["params"]]
        for index, state in values["state"].items():
            values["state"][index] = {name: _part(tensor, weights[index]) for name, tensor in state.items()}
        self.optimizer.load_state_dict(values)
        self.lr_scheduler.load_state_dict(torch.load(Path(checkpoint) / SCHEDULER_NAME, weights_only=True))
