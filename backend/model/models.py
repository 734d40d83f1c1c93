"""Loading causal language models from a folder, a hub name or a GGUF file.

Safetensors and GGUF only, no code, no pickle; every failure is one line. A model in memory is
`backend.model.loaded`, its heads `backend.model.sites`, its verification at load `backend.model.verify`.
"""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any, Literal

import torch
import transformers

from hormesis.backend.bundled import BUNDLED, unpacked_folder
from hormesis.backend.hub import HubError, absent_models, hub_folder, is_hub_name, split_revision
from hormesis.backend.model.gguf import bundled_file, parsed_once, read_gguf
from hormesis.backend.model.loaded import LoadedModel
from hormesis.backend.model.silence import quiet
from hormesis.backend.model.sites import ModelError, find_sites
from hormesis.backend.model.soundness import require_sound
from hormesis.backend.model.verify import prove
from hormesis.db.contract.left_out import is_left_out
from hormesis.db.manifest import is_sealed

DTypeName = Literal["auto", "float32", "bfloat16"]
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")

__all__ = ["LoadedModel", "ModelError", "describe", "load_model", "require_present", "untrained"]


def describe(
    model: Any, tokenizer: Any, source: str = "memory", *, files: tuple[Path, ...] = (), check: bool = True
) -> LoadedModel:
    """Wrap a transformers model that is already in memory; puts it into evaluation mode.

    All its numbers must be finite, and every id that text can become must have a vector. check: prove on a
    random input that it is causal, that steering by hook equals steering by bias, and that a batch gives what
    its rows give alone. Raises ModelError where that fails, or heads cannot be found.
    """
    require_sound(model, tokenizer, source)
    model.eval()
    loaded = LoadedModel(model, tokenizer, find_sites(model), source=source, dtype=model.dtype, files=files)
    if check:
        try:
            with quiet():  # hybrids remark on kernels that are not installed
                prove(loaded)
        except (ModelError, torch.OutOfMemoryError):
            raise
        except Exception as error:  # whatever a family's own code raises
            raise ModelError(f"{source}: cannot be run: {_reason(error)}") from error
    return loaded


def untrained(loaded: LoadedModel, seed: int) -> LoadedModel:
    """The model before its first step: its configuration and tokenizer, weights drawn with `seed`.

    Of a model trained here with that seed these are the weights that its training began with, drawn in
    float32 and held in the precision of `loaded`. Keeps the global random state.
    """
    config = deepcopy(loaded.model.config)
    with torch.random.fork_rng(devices=[]), quiet():
        torch.manual_seed(seed)
        model = type(loaded.model)._from_config(
            config, attn_implementation=config._attn_implementation, dtype=torch.float32
        )
    # By name, not all alike: rotary frequencies, which no file holds, stay float32 in a bfloat16 model.
    trained = _tensors(loaded.model)
    for name, tensor in _tensors(model).items():
        tensor.data = tensor.data.to(trained[name].dtype)
    model = model.to(loaded.device)
    return describe(model, loaded.tokenizer, f"{loaded.source}, untrained", check=False)


def _tensors(model: Any) -> dict[str, torch.Tensor]:
    return dict([*model.named_parameters(), *model.named_buffers()])


def load_model(source: str | Path, *, dtype: DTypeName = "auto", check: bool = True) -> LoadedModel:
    """Load a causal language model from a folder, a `.gguf` file, a hub name (`NAME@REVISION`), or `smollm2`.

    dtype: `auto` is the checkpoint's own (float16 becomes float32 on a CPU), and bfloat16 for a GGUF file.
    The model goes to the GPU where there is one. Safetensors and GGUF only; remote code and pickles are never
    run. Raises ModelError, one line, for anything that cannot be loaded, is no causal language model, or
    fails the proof (see `describe`).
    """
    path = bundled_file() if str(source) == BUNDLED else Path(source)
    if is_left_out(path.name):
        raise ModelError("the weights were left out of this copy of the study; copy it again with --weights")
    if path.is_file():
        if path.suffix != ".gguf":
            raise ModelError(f"{path.name} is not a model: give a folder, a .gguf file or a hub name")
        files: tuple[Path, ...] = (path,)
        if str(source) == BUNDLED and is_sealed(unpacked_folder(path)):
            pieces = _quietly(path.name, _load_folder, unpacked_folder(path), path.name, dtype)
        else:
            pieces = _quietly(path.name, _load_gguf, path, dtype)
    else:
        folder = path if path.is_dir() else _download(source)
        files = _weight_files(folder, str(source))
        pieces = _quietly(str(source), _load_folder, folder, str(source), dtype)
    model, tokenizer, report = pieces
    _refuse_missing_weights(report, str(source))
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return describe(model.to(device), tokenizer, str(source), files=files, check=check)


def _quietly(name: str, load: Any, *args: Any) -> tuple[Any, Any, dict[str, Any]]:
    """Run a loader of (model, tokenizer, report on missing weights) without progress bars.

    Whatever a broken file makes the libraries raise becomes one ModelError line that begins with `name`.
    """
    with quiet():
        try:
            pieces: tuple[Any, Any, dict[str, Any]] = load(*args)
        except ModelError:
            raise
        except Exception as error:
            raise ModelError(f"{name}: cannot be loaded: {_reason(error)}") from error
    return pieces


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


def require_present(source: str | Path) -> None:
    """Raise ModelError where there is no such folder or file, nor a hub model; downloads nothing."""
    if str(source) == BUNDLED:
        bundled_file()
    elif not Path(source).exists():
        name, revision = _hub_name(source)
        for line in absent_models([(name, revision)]).values():
            raise ModelError(_no_model(name, line))


def _hub_name(source: str | Path) -> tuple[str, str | None]:
    """Name and revision on the hub of what is no path here. Raises ModelError."""
    name, revision = split_revision(str(source))
    if isinstance(source, Path) or not is_hub_name(name):
        raise ModelError(f"no model folder or file at '{source}'")
    return name, revision


def _no_model(name: str, reason: object) -> str:
    return f"no folder '{name}', and the hub gave no such model: {reason}"


def _download(source: str | Path) -> Path:
    """Fetch a hub model's configuration, tokenizer and safetensors; returns the folder they lie in."""
    name, revision = _hub_name(source)
    try:
        return hub_folder(name, revision)
    except HubError as error:
        raise ModelError(_no_model(name, error)) from error


def _weight_files(folder: Path, source: str) -> tuple[Path, ...]:
    """Safetensors files of a model folder; refuses a folder that is not a model we may load."""
    if (folder / "adapter_config.json").is_file():
        raise ModelError(f"{source} holds an adapter, not a whole model: merge it into its base first")
    if not (folder / "config.json").is_file():
        raise ModelError(f"{source} holds no config.json, so it is not a model folder")
    files = tuple(sorted(folder.glob("*.safetensors")))
    if files:
        return files
    if any(next(folder.glob(pattern), None) for pattern in PICKLES):
        raise ModelError(f"{source} holds only pickle weights, which can run code: convert it to safetensors")
    raise ModelError(f"{source} holds no weights (no .safetensors file)")


def _load_folder(folder: Path, source: str, dtype: DTypeName) -> tuple[Any, Any, dict[str, Any]]:
    """(model, tokenizer, report on missing weights) of a folder; `source`: what messages call it."""
    try:
        architectures = (
            json.loads((folder / "config.json").read_text(encoding="utf-8")).get("architectures") or []
        )
    except (UnicodeDecodeError, json.JSONDecodeError, AttributeError) as error:
        raise ModelError(f"{source}: config.json is not valid JSON") from error
    config = transformers.AutoConfig.from_pretrained(folder, trust_remote_code=False)
    auto_class = _auto_class(config, architectures)
    if auto_class is None:
        kind = architectures[0] if architectures else config.model_type
        raise ModelError(f"{source} is not a causal language model ({kind})")
    if getattr(config.get_text_config(), "index_topk", None):
        raise ModelError(
            f"{source} attends to tokens that an index picks ({config.model_type}); among unequal texts "
            "it picks others: not supported"
        )
    tokenizer = _tokenizer(source, folder)
    loaded: Any = auto_class.from_pretrained(
        folder,
        dtype=_dtype(dtype, getattr(config, "dtype", None)),
        use_safetensors=True,
        trust_remote_code=False,
        local_files_only=True,
        output_loading_info=True,
    )
    model, report = loaded
    return model, tokenizer, report


def _auto_class(config: Any, architectures: list[str]) -> Any:
    """What loads a checkpoint for text alone; None for one that is no causal language model.

    Models that see pictures too are read for their language part: transformers has a class for it alone
    (Qwen3.5), takes the whole for causal (Gemma3, Gemma4), or knows the whole only (Mistral3).
    """
    auto = transformers.models.auto.modeling_auto
    classes = {
        *auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.values(),
        *auto.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES.values(),
    }
    if config.is_encoder_decoder or (architectures and not classes & set(architectures)):
        return None
    candidates = (transformers.AutoModelForCausalLM, transformers.AutoModelForImageTextToText)
    return next((candidate for candidate in candidates if type(config) in candidate._model_mapping), None)


def _load_gguf(path: Path, dtype: DTypeName) -> tuple[Any, Any, dict[str, Any]]:
    with parsed_once():
        # Rounded as an import stores it, so that the same model is steered whichever of the two is read.
        model, report = read_gguf(path)
        tokenizer = _tokenizer(path.name, path.parent, gguf_file=path.name)
        wanted_type = _dtype(dtype, torch.bfloat16)
        # `to` would round what is float32 in a bfloat16 model too: its rotary frequencies.
        return model if wanted_type is model.dtype else model.to(wanted_type), tokenizer, report


def _tokenizer(source: str, folder: Path, **options: str) -> Any:
    files = ("tokenizer.json", "tokenizer_config.json", "vocab.json", "tokenizer.model", "vocab.txt")
    if not options and not any((folder / name).is_file() for name in files):
        raise ModelError(f"{source} holds no tokenizer (tokenizer.json)")
    return transformers.AutoTokenizer.from_pretrained(
        folder, trust_remote_code=False, local_files_only=True, **options
    )


def _dtype(dtype_name: DTypeName, stored_dtype: torch.dtype | str | None) -> torch.dtype:
    """The type asked for; for `auto` that of the checkpoint, but float32 for float16 on a CPU."""
    if dtype_name == "auto":
        dtype = getattr(torch, stored_dtype, None) if isinstance(stored_dtype, str) else stored_dtype
        is_slow = dtype is torch.float16 and not torch.cuda.is_available()
        return torch.float32 if dtype is None or is_slow else dtype
    if dtype_name not in ("float32", "bfloat16"):
        raise ModelError(f"dtype must be auto, float32 or bfloat16, not '{dtype_name}'")
    return torch.float32 if dtype_name == "float32" else torch.bfloat16


def _refuse_missing_weights(report: dict[str, Any], source: str) -> None:
    """A missing weight would silently be random: refuse. `report`: loading info of transformers."""
    missing = sorted(str(name) for name in report.get("missing_keys", ()))
    if missing:
        raise ModelError(f"{source}: {len(missing)} weights are missing from its files, first '{missing[0]}'")
    if report.get("mismatched_keys"):
        raise ModelError(f"{source}: some weights have another shape than its configuration says")
