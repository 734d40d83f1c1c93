"""Does a dose of toxic text help? The answer, dose-response, verdicts, and progress while it runs."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from hormesis.dashboard import rows
from hormesis.dashboard.app_pages.overview import verdict_view
from hormesis.dashboard.base import refresh, selection
from hormesis.dashboard.base.selection import of_dose
from hormesis.dashboard.base.theme import is_dark
from hormesis.dashboard.base.verdicts import fit_said, fits_of, in_scope
from hormesis.dashboard.base.wording import is_imported, metric_name
from hormesis.dashboard.charts.dose import dose_response
from hormesis.dashboard.charts.dose_layers import paper_column
from hormesis.dashboard.charts.figure_cache import drawn
from hormesis.dashboard.parts import card, controls, states
from hormesis.dashboard.parts.progress_view import live_progress, loss_card
from hormesis.dashboard.report.button import report_button
from hormesis.dashboard.rows.context import Context, current

READ_FLUENCY = (
    "Read beside the left chart: toxicity that falls together with fluency is broken text, not detox."
)
READ_REPETITION = "Read beside the left chart: toxicity that falls while repetition rises is a looping model."
READ_DOSE = (
    "Read across: a line that dips below its own left end means that dose helped under that condition."
)


def pick(choices: pd.DataFrame) -> tuple[str | None, str | None, str]:
    """Prompt set, scorer and view, by the controls above the charts; `choices`: of `summary_choices`."""
    toxicity = choices[choices["name"] == "toxicity"]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        view = controls.view(selection.MATCHED, selection.FIXED)
        prompt_set = controls.prompt_set(selection.by_size(toxicity))
        of_prompts = toxicity[toxicity["prompt_set"] == prompt_set]
        scorer = controls.scorer(selection.options(of_prompts["scorer"]))
    return prompt_set, scorer, view


def layers(prompt_set: str | None) -> tuple[bool, str | None]:
    """What is laid over the chart: whether fitted curves, and which of the paper's figures."""
    column = paper_column(prompt_set)
    with st.container(horizontal=True):
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
    card_key: str,
    *,
    guide: str,
    curves: pd.DataFrame | None = None,
    paper: str | None = None,
) -> None:
    """A dose-response of summary rows in a frame; `curves`: fits; `paper`: column of the paper's table."""
    unit = str(doses["unit"].iloc[0]) if len(doses) else ""
    title = f"{metric_name(metric)} ({unit})" if unit else metric_name(metric)
    seeds = int(doses["n_seeds"].max()) if len(doses) else 0
    with st.container(border=True):
        card.chart(
            drawn(
                dose_response,
                doses,
                title,
                dark=is_dark(),
                from_zero=metric == "toxicity",
                curves=curves,
                paper=paper,
            ),
            key=card_key,
            title=f"{metric_name(metric)} by toxic share",
            alt=f"{metric_name(metric)} against the toxic share of the training mix, one line per condition",
            guide=guide,
            note=f"Bars: 95 % intervals over seeds (up to {seeds}, spread pooled over arms) and prompts.",
            rows=doses,
        )


def fluency_rows(context: Context, choices: pd.DataFrame, prompt_set: str | None) -> pd.DataFrame:
    """The first fluency metric the study has, for these prompts."""
    metric = selection.fluency(choices, prompt_set)
    if metric is None:
        return pd.DataFrame()
    name, scorer = metric
    return of_dose(rows.summaries(context, name=name, prompt_set=prompt_set, scorer=scorer))


def results(context: Context, running: bool) -> None:
    """Charts and verdicts, or what is still to come; `running`: whether the study runs now."""
    choices = rows.summary_choices(context)
    # An imported checkpoint has no share: it belongs on the trade-offs, not on a dose axis.
    if len(choices) and choices["kind"].map(is_imported).astype(bool).all():
        st.info(
            "This study holds imported checkpoints only, so there is no dose to compare. What steering "
            "them costs is on the trade-offs page."
        )
        return
    choices = choices[choices["kind"].isin(["toxic", "clean-forum"])]
    if choices[choices["name"] == "toxicity"].empty:
        states.not_yet("results", after="the evaluation of the first arm", running=running)
        return
    prompt_set, scorer, view = pick(choices)
    toxicity = of_dose(rows.summaries(context, name="toxicity", prompt_set=prompt_set, scorer=scorer))
    fluency = fluency_rows(context, choices, prompt_set)
    verdicts = in_scope(rows.verdicts(context), prompt_set, scorer)
    verdict_view.answer(verdicts)
    doses = selection.in_view(toxicity, view)
    fluency_doses = selection.in_view(fluency, view) if len(fluency) else fluency
    curves = fits_of(doses, rows.dose_fits(context), prompt_set, scorer=scorer)
    fitted, paper = layers(prompt_set)
    grid = st.grid(2, min_column_width=420)
    with grid.cell():
        best_doses = fit_said(curves)
        guide = f"{READ_DOSE} {best_doses[:1].upper()}{best_doses[1:]}." if best_doses else READ_DOSE
        dose_card(doses, "toxicity", "dose", guide=guide, curves=curves if fitted else None, paper=paper)
    refresh.answer_first()
    if len(fluency_doses):
        with grid.cell():
            metric = str(fluency_doses["name"].iloc[0])
            guide = READ_FLUENCY if metric != "repetition_4" else READ_REPETITION
            dose_card(fluency_doses, metric, "dose_fluency", guide=guide)
    verdict_view.claims(verdicts, running)


context = current()
state = rows.study_progress(context)
with st.container(horizontal=True, vertical_alignment="center"):
    st.subheader("Does a dose of toxic text help?", width="stretch")
    report_button(context)
if not state.finished:
    live_progress(context)
results(context, state.active)
if not state.finished:
    # Something is to be seen within the first minute.
    loss_card(
        context,
        key="overview_loss",
        title="Training",
        guide="Lower is better; one line per arm and seed, coloured by toxic share, the control dashed.",
    )
