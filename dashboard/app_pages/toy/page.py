"""Are rare features entangled? The toy experiment: entanglement by share, controls, DiDs, directions."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
import streamlit as st

from hormesis.dashboard.access.audience import audience_of_server
from hormesis.dashboard.app_pages.toy import directions_view, effects_view, start_view, words
from hormesis.dashboard.base import refresh
from hormesis.dashboard.base.theme import is_dark
from hormesis.dashboard.base.wording import as_sentence
from hormesis.dashboard.charts import toy as charts
from hormesis.dashboard.parts import card
from hormesis.dashboard.parts.answer import answer
from hormesis.dashboard.rows import toy
from hormesis.dashboard.rows.cache import Database
from hormesis.dashboard.rows.context import database_now
from hormesis.dashboard.running.permission import control
from hormesis.db.problems import DatabaseProblem

SECTIONS = ("Answers", "Every setting", "Accuracy and length", "Learning", "Directions", "New run")
READ = (
    "u and c: mean over the features of a group of the largest cosine with any other feature. Lines: "
    "means over seeds with Student's 95 % intervals; faint points: single seeds. Random: what random "
    "directions give; Welch: the largest |cos| cannot be lower than this."
)
READ_WEIGHTED = (
    "The same network at every share: only the weights of the probe's examples change. What moves here, the "
    "probe made."
)
READ_FROZEN = (
    "The same network at every share, read by a probe that does not look at the mixture: flat by "
    "construction. Choose the mixture-weighted probe to see what a probe alone can draw."
)


@dataclass(frozen=True, eq=False)
class View:
    """What is on show: a configuration, a probe and a cosine, and their rows."""

    experiment: pd.Series
    probe: str
    cosine: str
    measures: pd.DataFrame
    """A row per run and network."""
    means: pd.DataFrame
    """Over seeds."""


def pick_setting(experiments: pd.DataFrame) -> pd.DataFrame:
    """The configurations (rows) of the setting on show."""
    settings = [name for name in toy.SETTINGS if name in set(experiments["setting"])]
    setting = st.segmented_control(
        "Setting",
        settings,
        default=settings[0],
        required=True,
        format_func=lambda name: toy.SETTINGS[name],
        key="toy_setting",
        bind="query-params",
        label_visibility="collapsed",
    )
    return experiments[experiments["setting"] == (setting or settings[0])]


def pick_experiment(experiments: pd.DataFrame) -> pd.Series:
    """The configuration (row) on show: width, and the rest where several of the setting differ in it."""
    widths = sorted({int(config["width"]) for config in experiments["config"]})
    first = experiments.sort_values(["runs", "id"], ascending=[False, True]).iloc[0]
    width = st.selectbox(
        "Width",
        widths,
        index=widths.index(int(first["config"]["width"])),
        key="toy_width",
        bind="query-params",
        width=110,
        help="Dimensions that the 12 features share.",
    )
    experiments = experiments[[int(config["width"]) == width for config in experiments["config"]]]
    experiments = experiments.sort_values(["runs", "id"], ascending=[False, True])
    if len(experiments) == 1:
        return experiments.iloc[0]
    configs = experiments["config"].tolist()
    labels = [
        f"{toy.variant(row['config'], configs)} ({str(row['hash'])[:6]})" for _, row in experiments.iterrows()
    ]
    # The words tell the variants apart, so they change as others come; a link is known by its hash.
    linked = str(st.query_params.get("toy_variant", ""))
    same_hash = [name for name in labels if name[-8:] == linked[-8:]]
    if same_hash and linked not in labels:
        st.session_state["toy_variant"] = same_hash[0]
    variant = st.selectbox("Variant", labels, key="toy_variant", bind="query-params", width=300)
    return experiments.iloc[labels.index(str(variant))]


def pick_view(database: Database, experiments: pd.DataFrame) -> View:
    """What is on show of a setting's configurations (rows)."""
    experiment = pick_experiment(experiments)
    probe = str(
        st.selectbox(
            "Directions from",
            list(toy.PROBES),
            format_func=lambda name: toy.PROBES[name],
            key="toy_probe",
            bind="query-params",
            width=230,
            help=(
                "Class means of activations; logistic probes in which every feature weighs the same; or "
                "logistic probes whose examples come in the proportions of the training mixture, trained to "
                "the end or stopped early."
            ),
        )
    )
    cosine = st.segmented_control(
        "Cosine",
        list(toy.COSINES),
        default="absolute",
        required=True,
        format_func=lambda name: toy.COSINES[name],
        key="toy_cosine",
        bind="query-params",
        help="Absolute is the paper's; signed counts an antipodal pair as far apart.",
    )
    experiment_id = int(experiment["id"])
    measures = toy.measures(database, experiment_id, probe)
    means = toy.means(database, experiment_id, probe)
    return View(experiment, probe, str(cosine or "absolute"), measures, means)


def entanglement(view: View, network: str, above: card.Header) -> None:
    """Entanglement over the share of the `trained` network, or of the `frozen` one."""
    measures = view.measures[view.measures["network"] == network]
    if measures.empty:
        st.info("No run of this kind is stored yet.", icon=":material/hourglass_empty:")
        return
    if network == "trained":
        title, guide = "Entanglement over the share", READ
    else:
        title = "Control: network frozen at r = 1"
        guide = READ_WEIGHTED if view.probe in toy.WEIGHTED else READ_FROZEN
    card.chart(
        charts.over_share(
            measures,
            view.means[view.means["network"] == network],
            view.cosine,
            y_title=f"Entanglement ({view.cosine} cosine)",
            dark=is_dark(),
            references=charts.references(view.experiment, view.cosine),
        ),
        key=above.key,
        title=title,
        alt=f"Entanglement of the rare chain and of the controls over the share, {network} network",
        guide=guide,
        note=f"n = {measures['seed'].nunique()} seeds, {len(measures)} runs, {view.experiment['features']} "
        f"features in {view.experiment['dimensions']} dimensions.",
        rows=measures,
        above=above,
    )


def learning(database: Database, experiment: int, unit: str) -> None:
    """How the rare chain is learned: loss (in `unit`) and accuracy over the steps; `experiment`: an id."""
    curves = toy.curves(database, experiment)
    if curves.empty:
        return
    grid = st.grid(2, min_column_width=440)
    for column, title, y_title, log in (
        ("rare_loss", "Loss on the rare chain", f"Loss ({unit})", True),
        ("rare_accuracy", "Accuracy on the rare chain", "Accuracy", False),
    ):
        with grid.cell(), st.container(border=True):
            card.chart(
                charts.learning(curves, column, y_title, log=log),
                key=f"toy_{column}",
                title=title,
                alt=f"{title} over training steps, one line per share",
                guide="One line per share; the rarest chain is learned last, or not at all in that time.",
                note=f"Means over n = {int(curves['n'].max())} seeds, all of the chain's sequences.",
                rows=curves,
            )


def norms(view: View) -> None:
    """Lengths of the directions of the trained network."""
    measures = view.measures[view.measures["network"] == "trained"]
    with st.container(border=True):
        card.chart(
            charts.over_share(
                measures,
                view.means[view.means["network"] == "trained"],
                "norm",
                y_title="Length of the directions",
                dark=is_dark(),
                unit_range=False,
                height=360,
            ),
            key="toy_norms",
            title="Length of the directions",
            alt="Mean length of the rare chain's and the controls' directions over the share",
            guide=(
                "A direction close to length zero is not represented, and its angles are noise. Class "
                "means: in units of the activations; probes: log odds per unit."
            ),
            note=f"n = {measures['seed'].nunique()} seeds.",
            rows=measures[["share", "seed", "rare_norm", "control_norm"]],
        )


def section(database: Database, effects: pd.DataFrame, experiments: pd.DataFrame, view: View) -> None:
    """What is below the first charts, one at a time; `effects`: stored DiDs."""
    chosen = st.segmented_control(
        "More", SECTIONS, default=SECTIONS[0], required=True, key="toy_section", bind="query-params",
        label_visibility="collapsed",
    )  # fmt: skip
    experiment, probe, cosine = int(view.experiment["id"]), view.probe, view.cosine
    match chosen:
        case "Every setting":
            effects_view.forest(effects, experiments, cosine)
        case "Accuracy and length":
            grid = st.grid(2, min_column_width=440)
            with grid.cell():
                effects_view.by_accuracy(effects, experiment, view.measures, probe=probe, cosine=cosine)
            with grid.cell():
                norms(view)
        case "Learning":
            is_autoencoder = view.experiment["setting"] == "autoencoder"
            learning(database, experiment, "squared error" if is_autoencoder else "nats per token")
        case "Directions":
            directions_view.directions(database, experiment, view.measures, probe=probe, cosine=cosine)
        case "New run":
            new_run()
        case _:
            effects_view.answers(effects, experiments, probe, cosine=cosine)


def new_run() -> None:
    """The form that starts a run."""
    with st.container(border=True):
        st.markdown("**Run it with other settings**")
        start_view.start_form(home)


def empty(sentence: str) -> None:
    """Nothing stored yet: say what would bring it."""
    st.info(sentence, title="No toy run yet", icon=":material/toys:")
    st.caption("All four settings, 9 shares and 10 seeds each; one to two minutes on two cores:")
    st.code("hormesis toy", language="bash")


database = database_now()
home = control(database.url, audience_of_server())
try:
    experiments = toy.experiments(database)
    reason = "The database holds no run of the toy experiment."
except DatabaseProblem as problem:
    experiments, reason = pd.DataFrame(), as_sentence(str(problem))
start_view.under_way(database.url, home)
place = st.container()
if experiments.empty:
    with place:
        answer(words.headline(None))
    empty(reason)
    new_run()
else:
    of_setting = pick_setting(experiments)
    grid = st.grid(2, min_column_width=480)
    with grid.cell(), st.container(border=True):
        above = card.header("toy_trained")
        with above.options():
            view = pick_view(database, of_setting)
        entanglement(view, "trained", above)
    effects = toy.effects(database)
    of_view = words.pick(
        effects, experiment_id=int(view.experiment["id"]), probe=view.probe, cosine=view.cosine,
        network="trained", split="all",
    )  # fmt: skip
    with place:
        answer(words.headline(view.experiment, of_view, view.cosine))
    refresh.answer_first()
    with grid.cell(), st.container(border=True):
        entanglement(view, "frozen", card.header("toy_frozen"))
    section(database, effects, experiments, view)
