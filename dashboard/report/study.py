"""Puts a study's report together: which sections, in which order, with or without texts."""

from __future__ import annotations

from hormesis.dashboard import rows
from hormesis.dashboard.base.records import records
from hormesis.dashboard.base.selection import Choice, main_choice
from hormesis.dashboard.base.study_names import study_place
from hormesis.dashboard.base.wording import arm_label, condition_label
from hormesis.dashboard.document.blocks import Document, Section, Text, Texts
from hormesis.dashboard.document.page import render
from hormesis.dashboard.parts.export_metadata import stamp
from hormesis.dashboard.report import origins, results
from hormesis.dashboard.report.robustness import robustness
from hormesis.dashboard.rows import pairs as pair_rows
from hormesis.dashboard.rows.answers import study_headline
from hormesis.dashboard.rows.cache import Database, change_token, engine
from hormesis.dashboard.rows.context import Context, context_of
from hormesis.db.contract.left_out import NOTE

TEXTS = 12
"""Pairs of texts a report shows where they are asked for."""


def open_study(url: str, name: str) -> Context:
    """A study by name, hash, or `name (start of hash)`. Raises NoSuchStudy for none or several."""
    engine(url)  # says what is wrong with the database, which a change token does not
    database = Database(url, change_token(url))
    studies = rows.studies(database)
    return context_of(database, studies, study_place(studies, name))


def texts(context: Context, choice: Choice) -> Section | None:
    """The largest falls in toxicity at the largest share under the middle matched cost, both texts each."""
    if len(rows.left_out_texts(context)):
        return Section("Texts", [], NOTE)
    summaries = rows.summaries(context)
    steered = summaries[
        (summaries["method"] == "iti") & (summaries["kind"] == "toxic") & summaries["matched_cost"].notna()
    ]
    if steered.empty or choice.prompt_set is None or choice.scorer is None:
        return None
    costs = sorted(steered["matched_cost"].unique())
    middle = steered[steered["matched_cost"] == costs[len(costs) // 2]].sort_values("share")
    row = middle.iloc[-1]
    pairs = pair_rows.condition_pairs(
        context, kind=str(row["kind"]), share=float(row["share"]), condition_key=str(row["condition_key"])
    )
    if pairs.empty:
        return None
    ids = pairs.iloc[0]
    pair = pair_rows.Pair(int(ids["base_id"]), int(ids["condition_id"]), choice.prompt_set, choice.scorer)
    falls = pair_rows.paired_texts(context, pair, order="Largest fall", page=0, size=TEXTS)
    items = []
    for fall in records(falls):
        for title, text, score in (
            ("Unsteered", fall.base_text, fall.base_score),
            ("Steered", fall.text, fall.score),
        ):
            items.append(Text(title, str(fall.prompt), str(text), f"{choice.scorer} {score:.2f}"))
    label = condition_label(row["method"], row["strength"], row["matched_cost"], key=row["condition_key"])
    note = (
        f"{ids['checkpoint']} ({arm_label(row['kind'], row['share'])}), {label}: the {len(falls)} prompts "
        "whose score fell most, so not a fair sample. Each text opens by a click."
    )
    return Section("Texts", [Texts("Largest falls", items, note)], "These may be toxic: they were asked for.")


def document(context: Context, *, with_texts: bool = False) -> Document:
    """The whole report of a study, finished or not."""
    summaries = rows.summaries(context)
    choice = main_choice(summaries)
    entries = stamp(context, "study report", None)
    sections: list[Section | None] = []
    answer = None
    if choice.scorer is not None:
        answer = study_headline(context, "overview", choice)
        sections += [results.answer(context, summaries, choice), results.costs(context, summaries, choice)]
    sections += [
        robustness(context),
        origins.scorers(context),
        origins.geometry(context),
        origins.training(context),
    ]
    if with_texts:
        sections.append(texts(context, choice))
    if len(summaries):
        sections.append(results.numbers(context))
    sections += [origins.definitions(), origins.provenance(context, entries)]
    progress = rows.study_progress(context)
    unfinished = (
        "" if progress.finished else f" Not finished: {progress.done} of {progress.stages} stages are done."
    )
    return Document(
        title=f"Study {context.study['name']}",
        subtitle=f"Scale {context.study['scale']}, hash {context.study['hash']}.{unfinished}",
        answer=answer.answer if answer else "No results yet: the first arm has not been evaluated.",
        detail=answer.detail if answer else "",
        status=answer.status if answer else "",
        sections=[section for section in sections if section is not None],
        metadata={
            name: entries[name]
            for name in ("program", "study", "study hash", "git revision", "made")
            if name in entries
        },
    )


def study_report(context: Context, *, with_texts: bool = False) -> bytes:
    """The report as one HTML file."""
    return render(document(context, with_texts=with_texts))
