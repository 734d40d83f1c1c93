"""Does a dose of toxic text help? The answer, dose-response, verdicts, and progress while it runs."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from hormesis.dashboard import rows
from hormesis.dashboard.app_pages.overview import imported_view, verdict_view
from hormesis.dashboard.base import headlines, refresh, selection
from hormesis.dashboard.base.geometry_words import arms_line
from hormesis.dashboard.base.headlines import headline
from hormesis.dashboard.base.selection import of_dose
from hormesis.dashboard.base.theme import is_dark
from hormesis.dashboard.base.verdicts import after_nulls, fit_said, fits_of, in_scope
from hormesis.dashboard.base.wording import as_sentence, is_imported, measured_shares, metric_name, plain
from hormesis.dashboard.charts.dose import dose_response
from hormesis.dashboard.charts.dose_layers import paper_column
from hormesis.dashboard.charts.figure_cache import drawn
from hormesis.dashboard.parts import card, reference_note, states
from hormesis.dashboard.parts.answer import answer, figures
from hormesis.dashboard.parts.progress_view import live_progress, loss_card
from hormesis.dashboard.report.button import report_button
from hormesis.dashboard.rows import geometry
from hormesis.dashboard.rows.context import Context, current, current_choice

CLAIMS, LANGUAGE = "Claims and verdicts", "Fluency"
READ_FLUENCY = (
    "Read beside the chart above: toxicity that falls together with fluency is broken text, not detox."
)
READ_REPETITION = (
    "Read beside the chart above: toxicity that falls while repetition rises is a looping model."
)
READ_DOSE = (
    "Read across: a line that dips below its own left end means that dose helped under that condition."
)


def layers(above: card.Header, prompt_set: str | None) -> tuple[bool, str | None]:
    """What is laid over the chart: whether fitted curves, and which of the paper's figures."""
    column = paper_column(prompt_set)
    with above.options():
        fitted = st.toggle(
            "Fitted curve", value=True, key="fit", bind="query-params",
            help="Drawn only where the test supports a dip inside the tested shares.",
        )  # fmt: skip
        lines = column is not None and st.toggle(
            "Paper's figures †", key="paper", bind="query-params",
            help="Table 1 by secondary notes: another model and scorer, so levels are not comparable.",
        )  # fmt: skip
    return fitted, column if lines else None


def dose_card(
    doses: pd.DataFrame,
    metric: str,
    above: card.Header,
    *,
    guide: str,
    curves: pd.DataFrame | None = None,
    paper: str | None = None,
) -> None:
    """A dose-response of summary rows; `curves`: fits; `paper`: column of the paper's table."""
    unit = str(doses["unit"].iloc[0]) if len(doses) else ""
    title = f"{metric_name(metric)} ({unit})" if unit else metric_name(metric)
    seeds = int(doses["n_seeds"].max()) if len(doses) else 0
    figure = drawn(
        dose_response,
        doses,
        title,
        dark=is_dark(),
        from_zero=metric == "toxicity",
        curves=curves,
        paper=paper,
    )
    card.chart(
        figure,
        key=above.key,
        title=f"{metric_name(metric)} by share of toxic-source text",
        alt=f"{metric_name(metric)} against the share of toxic-source text, one line per condition",
        guide=guide,
        note=f"Bars: 95 % intervals over seeds (up to {seeds}, spread pooled over like arms) and prompts.",
        rows=doses,
        above=above,
    )


def fluency_rows(context: Context, choices: pd.DataFrame, prompt_set: str | None) -> pd.DataFrame:
    """The first fluency metric the study has, for these prompts."""
    metric = selection.fluency(choices, prompt_set)
    if metric is None:
        return pd.DataFrame()
    name, scorer = metric
    return of_dose(rows.summaries(context, name=name, prompt_set=prompt_set, scorer=scorer))


def dose(context: Context, choices: pd.DataFrame) -> None:
    """The answer, its figures and the dose-response; `choices`: of `summary_choices`."""
    choice = current_choice()
    verdicts = in_scope(rows.verdicts(context), choice.prompt_set, choice.scorer)
    answer(headline("overview", verdicts, view=choice.view), beside=lambda: report_button(context))
    figures(headlines.figures(verdicts))
    states.degraded_note(context)
    states.empty_note(context, choice.prompt_set)
    toxicity = of_dose(
        rows.summaries(context, name="toxicity", prompt_set=choice.prompt_set, scorer=choice.scorer)
    )
    doses = selection.in_view(toxicity, choice.view)
    curves = fits_of(doses, rows.dose_fits(context), choice.prompt_set, scorer=choice.scorer)
    with st.container(border=True):
        above = card.header("dose")
        fitted, paper = layers(above, choice.prompt_set)
        best_doses = fit_said(curves)
        guide = " ".join(
            part
            for part in (
                READ_DOSE,
                measured_shares(rows.arms(context)),
                as_sentence(best_doses) if best_doses else "",
            )
            if part
        )
        dose_card(doses, "toxicity", above, guide=guide, curves=curves if fitted else None, paper=paper)
    refresh.answer_first()


def language(context: Context, choices: pd.DataFrame) -> None:
    """How whole the language is along the dose; `choices`: of `summary_choices`."""
    choice = current_choice()
    fluency = fluency_rows(context, choices, choice.prompt_set)
    doses = selection.in_view(fluency, choice.view) if len(fluency) else fluency
    if doses.empty:
        st.info("No measure of fluency was made on these prompts.", icon=":material/info:")
        return
    metric = str(doses["name"].iloc[0])
    guide = READ_FLUENCY if metric != "repetition_4" else READ_REPETITION
    with st.container(border=True):
        dose_card(doses, metric, card.header("dose_fluency"), guide=guide)


def sections(context: Context, choices: pd.DataFrame, running: bool) -> None:
    """What is below the answer, one at a time."""
    choice = current_choice()
    section = st.segmented_control(
        "More", [CLAIMS, LANGUAGE], default=CLAIMS, required=True, key="more", bind="query-params",
        label_visibility="collapsed",
    )  # fmt: skip
    if section == LANGUAGE:
        language(context, choices)
        return
    verdicts = in_scope(rows.verdicts(context), choice.prompt_set, choice.scorer)
    verdict_view.claims(verdicts, running)
    survival = after_nulls(verdicts)
    if survival:
        st.caption(f":material/filter_alt: {plain(survival)}")
    gains = arms_line(geometry.head_summaries(context))
    if gains:
        st.caption(f":material/balance: {gains}")


def results(context: Context, running: bool) -> bool:
    """Answer, chart and sections. Returns whether there were results; `running`: whether the study runs."""
    choices = rows.summary_choices(context)
    toxicity = choices[choices["name"] == "toxicity"]
    if toxicity.empty:
        answer(headline("overview", rows.verdicts(context)), beside=lambda: report_button(context))
        states.not_yet("results", after="the evaluation of the first arm", running=running)
        return False
    # An imported checkpoint has no share, so it stands on no dose axis.
    if toxicity["kind"].map(is_imported).astype(bool).all():
        imported_view.steering(context)
        return True
    choices = choices[choices["kind"].isin(["toxic", "clean-forum"])]
    dose(context, choices)
    sections(context, choices, running)
    return True


context = current()
state = rows.study_progress(context)
reference_note.note(context)
if not state.finished:
    live_progress(context)
results(context, state.active)
if not state.finished:
    # Something is to be seen within the first minute.
    loss_card(
        context,
        key="overview_loss",
        title="Training",
        guide="Lower is better; one line per arm and seed, coloured by share, the control dashed.",
    )
