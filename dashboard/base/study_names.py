"""Studies by what they are called: name, start of hash, or both where names repeat."""

from __future__ import annotations

import pandas as pd

from hormesis.dashboard.base.records import records
from hormesis.db.read import study_names

__all__ = ["NoSuchStudy", "study_names", "study_place"]


class NoSuchStudy(ValueError):
    """No study, or several, go by a name; one line for the person."""


def study_place(studies: pd.DataFrame, name: str) -> int:
    """The place of a study among `studies`, by name, hash (six digits or more), or `name (start of hash)`.

    Raises NoSuchStudy for none or several.
    """
    names = study_names(studies)
    places = [
        place
        for place, row in enumerate(records(studies.rename(columns={"name": "name_"})))
        if name in (row.name_, names[place]) or (len(name) >= 6 and row.hash.startswith(name))
    ]
    if not places:
        raise NoSuchStudy(f"no study '{name}' in the database (studies: {', '.join(names) or 'none'})")
    if len(places) > 1:
        raise NoSuchStudy(f"{len(places)} studies are called '{name}': {', '.join(names[p] for p in places)}")
    return places[0]
