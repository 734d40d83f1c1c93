"""The command line: `python -m tests.audit DATABASE [STUDY]`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import Engine, create_engine, text

from tests.audit.ledger import Ledger
from tests.audit.metrics import compare_metrics
from tests.audit.raw import Raw
from tests.audit.summaries import compare_summaries
from tests.audit.verdicts import compare_fits, compare_verdicts


def audit(engine: Engine, study: int) -> Ledger:
    """Every comparison of one study."""
    ledger, raw = Ledger(), Raw(engine, study)
    for compare in (compare_metrics, compare_summaries, compare_verdicts, compare_fits):
        compare(ledger, raw)
    return ledger


def main(arguments: Sequence[str]) -> int:
    """Print the table of one study (its name or number), or of the only one; 1 where there is a fault."""
    if len(arguments) not in (1, 2) or not Path(arguments[0]).is_file():
        print(__doc__, file=sys.stderr)
        return 2
    engine = create_engine(f"sqlite:///file:{arguments[0]}?mode=ro&uri=true")
    with engine.connect() as connection:
        studies = {row.id: row.name for row in connection.execute(text("SELECT id, name FROM study"))}
    chosen = [number for number, name in studies.items() if arguments[1:] in ([], [name], [str(number)])]
    if len(chosen) != 1:
        print(f"name one study of {', '.join(sorted(studies.values()))}", file=sys.stderr)
        return 2
    ledger = audit(engine, chosen[0])
    print(ledger.table())
    return 1 if ledger.faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
