"""Unpacking the bundled GGUF file, once at set-up: `python -m hormesis.backend.unpack`.

A file of packed blocks takes several times longer to read than the same weights in safetensors.
"""

from __future__ import annotations

from hormesis.backend.bundled import unpacked_folder
from hormesis.backend.model.export import save_plain
from hormesis.backend.model.gguf import bundled_file
from hormesis.backend.model.models import load_model
from hormesis.db.files import remove_temporaries
from hormesis.db.manifest import is_sealed, remove_unit


def main() -> None:
    """Write the weights, rounded to bfloat16 as an import rounds them, unless they are there and whole."""
    path = bundled_file()
    folder = unpacked_folder(path)
    if not is_sealed(folder):
        remove_temporaries(folder.parent)
        remove_unit(folder)
        save_plain(load_model(path, check=False), folder)


if __name__ == "__main__":
    main()
