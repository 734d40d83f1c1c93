"""Writing the database's tables as CSV, Parquet or HTML files, each file whole or absent.

Beside them `provenance.json` says which studies, revisions and program they came from; a Parquet file carries
the same as its metadata, under the key `hormesis`. `gates` is no table: it follows from summaries and bounds.
`DICTIONARY.md` says what every column means,
`types.json` of which type a CSV file's are, and `views.sql` makes the views that have names instead of ids.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import pandas as pd
from sqlalchemy import Engine, select

from hormesis.db.csv_files import csv_schema
from hormesis.db.engine import open_reader
from hormesis.db.files import atomic_file
from hormesis.db.gates.losses import COLUMNS as GATE_COLUMNS
from hormesis.db.migrate import revisions
from hormesis.db.read import gates, studies, study
from hormesis.db.read.export import export_table, exportable_tables, holds_texts, selection
from hormesis.db.read.frame import frame
from hormesis.db.read.views import SUFFIX, view_statements, views
from hormesis.db.schema import Base, Scorer
from hormesis.db.schema.dictionary import table_meaning
from hormesis.pipeline.commands.tables.dictionary_page import dictionary_page
from hormesis.pipeline.commands.tables.files import WRITERS, arrow_schema, arrow_tables, schema_of

FORMS = tuple(WRITERS)
PROVENANCE = "provenance.json"
DICTIONARY = "DICTIONARY.md"
VIEWS = "views.sql"
TYPES = "types.json"
GATES = "gates"
_GATES_MEANING = (
    "What every scored condition loses against the same models unsteered, beside the bound of each gate: a "
    "fall of toxicity counts where all four pass. A row per condition, prompt set, gate and measure."
)


class ExportError(ValueError):
    """An export that cannot be made; the message is one line."""


def export_tables(
    database_url: str, folder: Path, form: str, *, tables: Iterable[str] = ()
) -> dict[str, int]:
    """Write `folder/<table>.<form>` for these tables or views; gives rows written per table.

    By default all tables; as HTML those without texts, which may hurt and must be asked for by name. Byte
    columns (vectors, activations) are kept in Parquet only. Raises ExportError for an unknown form or table,
    DatabaseProblem for a database that cannot be read.
    """
    if form not in FORMS:
        raise ExportError(f"unknown format '{form}' (known: {', '.join(FORMS)})")
    exportable = (*exportable_tables(), GATES)
    usual = tuple(name for name in exportable if form != "html" or name == GATES or not holds_texts(name))
    table_names = tuple(tables) or usual
    if unknown := set(table_names) - {*exportable, *views()}:
        raise ExportError(f"no table '{min(unknown)}' (tables: {', '.join((*exportable, *views()))})")
    engine = open_reader(database_url)
    record = provenance(engine)
    folder.mkdir(parents=True, exist_ok=True)
    written = {name: _write(engine, folder, name, form=form, record=record) for name in table_names}
    record_text = json.dumps(record | {"format": form, "rows": written}, indent=1)
    for name, text in (
        (PROVENANCE, record_text + "\n"),
        (DICTIONARY, dictionary_page(record)),
        (VIEWS, view_statements()),
        (TYPES, json.dumps({name: _csv_types(name) for name in (*exportable, *views())}, indent=1) + "\n"),
    ):
        with atomic_file(folder / name) as temporary:
            temporary.write_text(text, encoding="utf-8")
    return written


def _csv_types(name: str) -> dict[str, str]:
    """Column to the name of its Arrow type, as a CSV file has it."""
    is_table = name != GATES
    schema = csv_schema(
        arrow_schema(selection(name, with_bytes=False), {}) if is_table else schema_of(_gate_columns(), {})
    )
    return {field.name: str(field.type) for field in schema}


def _gate_columns() -> dict[str, type]:
    numbers: dict[str, type] = dict.fromkeys(("share", "bound", "value", "low", "high"), float)
    numbers |= dict.fromkeys(("n", "n_seeds"), int)
    return {name: numbers.get(name, str) for name in ("study", "study_hash", *GATE_COLUMNS)}


def _gate_chunks(engine: Engine) -> Iterator[pd.DataFrame]:
    for row in studies(engine).to_dict("records") or [{"id": 0, "name": "", "hash": ""}]:
        yield gates(engine, int(row["id"])).assign(study=row["name"], study_hash=row["hash"])


def _write(engine: Engine, folder: Path, name: str, *, form: str, record: dict[str, Any]) -> int:
    """Write one table or view as a file; gives its rows. `record` is the export's provenance."""
    with_bytes, notes = form == "parquet", {"hormesis": json.dumps(record), "table": name}
    if name == GATES:
        schema = schema_of(_gate_columns(), notes | {"description": _GATES_MEANING})
        chunks = _gate_chunks(engine)
    else:
        meaning = table_meaning(Base.metadata.tables[name.removesuffix(SUFFIX)])
        schema = arrow_schema(selection(name, with_bytes=with_bytes), notes | {"description": meaning})
        chunks = export_table(engine, name, with_bytes=with_bytes)
    with atomic_file(folder / f"{name}.{form}") as temporary:
        return WRITERS[form](arrow_tables(chunks, schema), schema, temporary)


def provenance(engine: Engine) -> dict[str, Any]:
    """Program, revision of the schema, time, and every study and scorer with its hash and revisions."""
    study_table = studies(engine)
    study_rows = [study(engine, int(study_id)).iloc[0] for study_id in study_table["id"]]
    scorers = frame(engine, select(Scorer.name, Scorer.revision).order_by(Scorer.id))
    return {
        "program": f"hormesis {metadata.version('hormesis')}",
        "schema": revisions()[-1],
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "studies": [
            {"name": row["name"], "hash": row["hash"], "data_revisions": row["data_revisions"]}
            for row in study_rows
        ],
        "scorers": scorers.to_dict("records"),
    }
