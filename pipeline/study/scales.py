"""The one dial of a study's size: model shape and training defaults per scale, and estimates for `plan`.

Knows no text and no database. All scales are the first OLMo architecture (Groeneveld et al. 2024: rotary
positions, SwiGLU, layer norm without parameters, no biases), because the paper trains OLMo-1B: with one
architecture along the dial a change with scale is a change with scale. (Olmo2's query-key norm would help at
high learning rates, but would make `paper` another model than the paper's.)

`paper` follows the public OLMo-1B (16 layers, 16 heads, width 2048, FFN 8192, tied embeddings, 2048 tokens
of context; peak learning rate 4e-4, batches of about four million tokens). Uncertain: secondary notes on the
paper speak of 24 layers x 16 heads = 384 heads, which is no public OLMo-1B; its batch size and learning rate
are unknown here and taken from OLMo-1B's own; the smaller scales are ours.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal

from hormesis.pipeline.study.config import Scale
from hormesis.pipeline.study.config_sections import TrainingConfig

if TYPE_CHECKING:  # a plan estimates without it
    import transformers


@dataclass(frozen=True)
class Shape:
    """A model's shape and the training defaults that go with it. Lengths in tokens, batches in sequences."""

    width: int
    layers: int
    heads: int
    ffn: int
    sequence_length: int
    batch_size: int
    micro_batch: int
    """At most this many sequences at once on one device; the rest of the batch is accumulated."""
    learning_rate: float
    vocabulary_multiple: int = 1
    """The embedding is padded to a multiple of this."""


SHAPES: dict[Scale, Shape] = {
    "nano": Shape(96, 4, 8, 288, 64, 8, 8, 3e-3),
    "mini": Shape(256, 8, 8, 1024, 256, 16, 16, 2e-3),
    "small": Shape(640, 12, 10, 1664, 512, 64, 16, 1e-3),
    "medium": Shape(1024, 14, 16, 2752, 1024, 256, 16, 6e-4),
    "paper": Shape(2048, 16, 16, 8192, 2048, 2048, 8, 4e-4, 128),
}
"""Parameters with a vocabulary of 8,192 (nano: 370): 0.5M, 10.5M, 63M, 186M; paper with 50,280: 1.18B."""


@dataclass(frozen=True)
class TrainSettings:
    """Everything that decides a training run beside the mix and the model: part of the run's identity."""

    sequence_length: int
    batch_size: int
    micro_batch: int
    learning_rate: float
    weight_decay: float = 0.1
    warmup_fraction: float = 0.05
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    evaluations: int = 20
    checkpoints: int = 10
    seed: int = 0
    """Of the initial weights; the order of the text is already in the mix."""
    compile: bool = False
    fsdp: bool = False
    """Shard the model over the processes, where there are several."""


@dataclass(frozen=True)
class Estimate:
    """What a run would cost. Memory is a rough upper figure; time is known only with a measured rate."""

    parameters: int
    tokens: int
    flops: float
    """Floating point operations of one whole run, forward and backward."""
    memory_bytes: int
    """Weights, gradients, optimiser state and activations of one device."""
    checkpoint_bytes: int
    """The finished model on disk, float32."""
    seconds: float | None


@dataclass(frozen=True)
class Architecture:
    """Sizes of a scale's model for one vocabulary, by the names that transformers has for them."""

    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    max_position_embeddings: int
    tie_word_embeddings: bool = True


def architecture(scale: Scale, vocabulary: int, *, context: int | None = None) -> Architecture:
    """The model of a scale for `vocabulary` ids, rounded up.

    `context`: tokens the model is trained on at a time; default the scale's own.
    """
    shape = SHAPES[scale]
    multiple = shape.vocabulary_multiple
    return Architecture(
        vocab_size=-(-vocabulary // multiple) * multiple,
        hidden_size=shape.width,
        intermediate_size=shape.ffn,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        max_position_embeddings=context or shape.sequence_length,
    )


def model_config(
    scale: Scale, vocabulary: int, *, eos: int, pad: int | None = None, context: int | None = None
) -> transformers.OlmoConfig:
    """The transformers configuration of `architecture`; `eos` and `pad` are two of the vocabulary's ids."""
    import transformers

    sizes = asdict(architecture(scale, vocabulary, context=context))
    return transformers.OlmoConfig(**sizes, eos_token_id=eos, pad_token_id=pad, bos_token_id=None)


def train_settings(scale: Scale, training: TrainingConfig, *, seed: int) -> TrainSettings:
    """The scale's training defaults with the study's own wishes instead; batches count sequences."""
    shape = SHAPES[scale]
    batch_size = training.batch_size or shape.batch_size
    return TrainSettings(
        sequence_length=training.sequence_length or shape.sequence_length,
        batch_size=batch_size,
        micro_batch=min(batch_size, shape.micro_batch),
        learning_rate=training.learning_rate or shape.learning_rate,
        weight_decay=training.weight_decay,
        warmup_fraction=training.warmup_fraction,
        precision=training.precision,
        evaluations=training.evaluations,
        checkpoints=training.checkpoints,
        seed=seed,
        compile=training.compile,
        fsdp=training.fsdp,
    )


def parameters(config: Architecture | transformers.OlmoConfig) -> int:
    """Number of weights, in closed form: embedding (tied, so once) and per layer attention and SwiGLU."""
    width, ffn = config.hidden_size, config.intermediate_size
    per_layer = 4 * width * width + 3 * width * ffn
    tables = 1 if config.tie_word_embeddings else 2
    return tables * config.vocab_size * width + config.num_hidden_layers * per_layer


def flops_per_token(config: Architecture | transformers.OlmoConfig, sequence_length: int) -> float:
    """Training operations per token: 6 per weight that multiplies, and 12 * layers * width * length for
    attention (Chowdhery et al. 2022, appendix B; the causal half is not subtracted)."""
    attention = 12 * config.num_hidden_layers * config.hidden_size * sequence_length
    # A tied embedding multiplies once, as the output layer; reading it is a look-up.
    untied = 0 if config.tie_word_embeddings else config.vocab_size * config.hidden_size
    return 6.0 * (parameters(config) - untied) + attention


def estimate(
    config: Architecture | transformers.OlmoConfig,
    settings: TrainSettings,
    tokens: int,
    *,
    tokens_per_second: float | None = None,
) -> Estimate:
    """What one arm of `tokens` tokens would cost on one device, at a measured rate if there is one.

    Memory counts float32 weights, gradients and two AdamW moments (16 bytes a weight), and activations as
    kept for the backward pass: per token and layer 14 widths and 4 FFN widths, and logits three times.
    """
    n_weights = parameters(config)
    per_token = config.num_hidden_layers * (14 * config.hidden_size + 4 * config.intermediate_size)
    per_token += 3 * config.vocab_size
    activation_bytes = 4 * per_token * settings.micro_batch * settings.sequence_length
    return Estimate(
        parameters=n_weights,
        tokens=tokens,
        flops=flops_per_token(config, settings.sequence_length) * tokens,
        memory_bytes=16 * n_weights + activation_bytes,
        checkpoint_bytes=4 * n_weights,
        seconds=tokens / tokens_per_second if tokens_per_second else None,
    )
