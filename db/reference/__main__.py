"""`python -m hormesis.db.reference HOME COPY.sqlite`: make a reference study of the package from a copy."""

from __future__ import annotations

import sys
from pathlib import Path

from hormesis.db.reference import pack

if __name__ == "__main__":
    sys.stdout.write(f"{pack(Path(sys.argv[1]), Path(sys.argv[2]))}\n")
