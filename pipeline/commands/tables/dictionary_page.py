"""The data dictionary as one Markdown page: every table and view, each column with type, unit and meaning."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sqlalchemy import Table, UniqueConstraint

from hormesis.db.read.export import exportable_tables, selection
from hormesis.db.read.views import LABELS, VIEWED, view, views
from hormesis.db.schema import Base
from hormesis.db.schema.dictionary import Field, table_meaning

_START = """# Data dictionary

One row of a file is one row of the table of the same name. Made {made} by {program}, schema {schema}.

## Reading the files

**Parquet** has the types below; `pyarrow.parquet.read_schema(FILE).field(COLUMN).metadata` has meaning and
unit. Integers that may be null come back as `Int64` in pandas. Moments are UTC, to the microsecond.

**CSV** is UTF-8. Null is nothing between two commas; a text is always in quotes, so an empty one is `""`.
Moments are UTC without a zone, to the millisecond. JSON is text. Byte columns are left out. `types.json` has
the types; without them a hash of digits alone is taken for a number:

```python
import json, pyarrow
from pyarrow import csv
options = csv.ConvertOptions(column_types=json.load(open("types.json"))["generation"], null_values=[""],
                             strings_can_be_null=True, quoted_strings_can_be_null=False)
lines = csv.ParseOptions(newlines_in_values=True)
generation = csv.read_csv("generation.csv", parse_options=lines, convert_options=options)
generation.to_pandas(types_mapper={{pyarrow.int64(): pandas.Int64Dtype()}}.get)   # pandas
polars.from_arrow(generation)                                                  # polars
duckdb.sql("FROM generation")                                                  # DuckDB
```

`pandas.read_csv` by itself cannot tell null from an empty text: it takes both, and a text `NA`, for missing;
with `keep_default_na=False` null and empty are both empty texts.

**Bytes** are in Parquet alone: `numpy.frombuffer(VALUE, dtype)` with `"<f4"` for float32, `"<i8"` for int64
and `"<f2"` for float16; `numpy.unpackbits` for packed bits. The column's meaning says which, and the shape.

## Views

`views.sql` holds a `CREATE TEMP VIEW` for each of these. They put the names of study, arm, checkpoint,
condition, prompt and scorer before the columns of a table. Run it in SQLite or PostgreSQL on the database
itself, or in DuckDB on the Parquet files, after `CREATE VIEW generation AS FROM 'generation.parquet'` and its
like. `hormesis export FOLDER --table generation_named` writes one as a file. The arm is null for an imported
checkpoint.

{views}

## Gates

`gates` is no table of the database: it follows from `summary`, `capability_summary` and each study's bounds.
A row per study, prompt set, condition, gate and measure: `value`, `low` and `high` are what is lost against
the same models unsteered, in `unit` (positive is worse), `bound` is the most that may be lost, `status` is
`passes`, `fails` or `cannot be told`.

## Tables

{tables}
"""


def dictionary_page(record: dict[str, object]) -> str:
    """The page; `record` says which program wrote it, with which schema, and when."""
    tables = "\n\n".join("\n".join(_table(Base.metadata.tables[name])) for name in exportable_tables())
    return _START.format(**record, views="\n".join(_views()), tables=tables)


def _views() -> Iterator[str]:
    """Lines on the views: `labels` are columns of parents, put before the own columns of the table."""
    for name, table in zip(views(), VIEWED, strict=True):
        n_columns = len(view(name).table.columns)
        labels = [f"`{field.name}`" for field in selection(name).fields[:-n_columns]]
        yield f"- `{name}`: {', '.join(labels)}; then the columns of `{table}`"
    yield ""
    sources = [
        f"`{label}` is `{parent}.{column}`" for parent, of in LABELS.items() for column, label in of.items()
    ]
    yield "; ".join(sources) + "."


def _table(table: Table) -> Iterator[str]:
    """Lines on a table: its meaning, its natural keys (sets of columns), its columns."""
    yield f"### {table.name}\n\n{table_meaning(table)}\n"
    unique_columns = [
        constraint.columns.keys()
        for constraint in table.constraints
        if isinstance(constraint, UniqueConstraint)
    ]
    if keys := sorted(" + ".join(f"`{name}`" for name in names) for names in unique_columns):
        yield f"Natural key: {'; '.join(keys)}.\n"
    yield from _columns(selection(table.name).fields)


def _columns(fields: Iterable[Field]) -> Iterator[str]:
    yield "| column | type | unit | null | key | meaning |\n|---|---|---|---|---|---|"
    for field in fields:
        nullable = "yes" if field.is_nullable else ""
        meaning = field.meaning.replace("|", "\\|")
        yield f"| `{field.name}` | {field.type} | {field.unit} | {nullable} | {field.key} | {meaning} |"
