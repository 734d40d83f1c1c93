"""`python -m hormesis.dashboard.report --study NAME`: write a study's report as one HTML file."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from streamlit.logger import set_log_level

from hormesis.db.files import atomic_file
from hormesis.db.location import database_url
from hormesis.db.problems import DatabaseProblem


def main(arguments: list[str] | None = None) -> int:
    """Write the report and print where it is. Returns 2 for what the person asked wrongly."""
    parser = argparse.ArgumentParser(prog="python -m hormesis.dashboard.report", description=__doc__)
    parser.add_argument("--db", help="SQLAlchemy URL or SQLite file of the database")
    parser.add_argument("--study", required=True, help="name or hash of a study")
    parser.add_argument("--out", type=Path, default=None, help="file to write (default: STUDY-report.html)")
    parser.add_argument(
        "--texts", action="store_true", help="with generated texts, each closed until clicked"
    )
    options = parser.parse_args(arguments)
    # Streamlit's caches warn where no server runs; here that is as intended.
    set_log_level("ERROR")
    from hormesis.dashboard.base.study_names import NoSuchStudy
    from hormesis.dashboard.report.study import open_study, study_report

    try:
        context = open_study(database_url(options.db), options.study)
        out = options.out or Path(f"{context.study['name']}-report.html")
        report = study_report(context, with_texts=options.texts)
        with atomic_file(out) as temporary:
            temporary.write_bytes(report)
    except (NoSuchStudy, DatabaseProblem, OSError) as error:
        print(f"hormesis: {error}", file=sys.stderr)
        return 2
    print(out)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
