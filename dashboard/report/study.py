"""Puts a study's report together: which sections, in which order, with or without texts."""

from __future__ import annotations

from dashboard import pair_rows, rows
from dashboard.context import Context, study_names
from dashboard.records import records
from dashboard.report import origins, results
from dashboard.report.blocks import Document, Section, Text, Texts
from dashboard.report.page import render
from dashboard.stamp import stamp
from dashboard.verdicts import ANSWERS, NO_DATA
from dashboard.wording import arm_label, condition_label

TEXTS = 12
"""Pairs of texts a report shows where they are asked for."""


class ReportError(ValueError):
    """The report cannot be made as asked; one line for the person."""


def open_study(url: str, name: str) -> Context:
    """A study by name, hash, or `name (start of hash)`. Raises ReportError for none or several."""
    rows.engine(url)  # says what is wrong with the database, which a change token does not
    token = rows.change_token(url)
    studies = rows.studies(url, token)
    shown = study_names(studies)
    places = [
        place
        for place, row in enumerate(records(studies.rename(columns={"name": "name_"})))
        if name in (row.name_, shown[place]) or (len(name) >= 6 and row.hash.startswith(name))
    ]
    if not places:
        known = ", ".join(shown) or "none"
        raise ReportError(f"no study '{name}' in the database (studies: {known})")
    if len(places) > 1:
        raise ReportError(f"{len(places)} studies are called '{name}': {', '.join(shown[p] for p in places)}")
    study = {str(key): value for key, value in studies.iloc[places[0]].items()}
    return Context(url, token, study, studies)


def texts(found: Context, choice: results.Choice) -> Section | None:
    """The largest falls in toxicity under the middle matched cost, beside the unsteered texts."""
    table = rows.summaries(found)
    steered = table[(table["method"] == "iti") & (table["kind"] == "toxic") & table["matched_cost"].notna()]
    if steered.empty or choice.prompts is None or choice.scorer is None:
        return None
    costs = sorted(steered["matched_cost"].unique())
    mine = steered[steered["matched_cost"] == costs[len(costs) // 2]].sort_values("share")
    row = mine.iloc[-1]
    pairs = pair_rows.condition_pairs(found, str(row["kind"]), float(row["share"]), str(row["condition_key"]))
    if pairs.empty:
        return None
    pair = pairs.iloc[0]
    shown = pair_rows.paired_texts(
        found,
        int(pair["base_id"]),
        int(pair["condition_id"]),
        choice.prompts,
        choice.scorer,
        "Largest fall",
        TEXTS,
        0,
    )
    items = []
    for one in records(shown):
        for title, text, score in (
            ("Unsteered", one.base_text, one.base_score),
            ("Steered", one.text, one.score),
        ):
            items.append(Text(title, str(one.prompt), str(text), f"{choice.scorer} {score:.2f}"))
    how = condition_label(row["method"], row["strength"], row["matched_cost"], row["condition_key"])
    note = (
        f"{pair['checkpoint']} ({arm_label(row['kind'], row['share'])}), {how}: the {len(shown)} prompts "
        "whose score fell most, so not a fair sample. Each text opens by a click."
    )
    return Section("Texts", [Texts("Largest falls", items, note)], "These may be toxic: they were asked for.")


def document(found: Context, *, with_texts: bool = False) -> Document:
    """The whole report of a study, finished or not."""
    table = rows.summaries(found)
    choice = results.main_choice(table)
    facts = stamp(found, "study report", None)
    sections: list[Section | None] = []
    headline, detail, status = "", "", ""
    if choice.scorer is not None:
        first = next(iter(results.study_verdicts(found, choice)), None)
        status = first.status if first is not None else NO_DATA
        detail = first.detail if first is not None else "no verdicts are stored"
        headline, detail = ANSWERS[status], f"{detail[:1].upper()}{detail[1:]}."
        sections += [results.answer(found, table, choice), results.costs(table, choice)]
    sections += [origins.geometry(found), origins.training(found)]
    if with_texts:
        sections.append(texts(found, choice))
    if len(table):
        sections.append(results.numbers(found))
    sections += [origins.definitions(), origins.provenance(found, facts)]
    progress = rows.study_progress(found)
    left = (
        "" if progress.finished else f" Not finished: {progress.done} of {progress.stages} stages are done."
    )
    return Document(
        title=f"Study {found.study['name']}",
        subtitle=f"Scale {found.study['scale']}, hash {found.study['hash']}.{left}",
        answer=headline or "No results yet: the first arm has not been evaluated.",
        detail=detail,
        status=status,
        sections=[section for section in sections if section is not None],
        facts={
            name: facts[name]
            for name in ("program", "study", "study hash", "git revision", "made")
            if name in facts
        },
    )


def study_report(found: Context, *, with_texts: bool = False) -> bytes:
    """The report as one HTML file."""
    return render(document(found, with_texts=with_texts))
