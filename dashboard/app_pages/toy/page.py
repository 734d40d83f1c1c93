"""Are rare features entangled? The toy experiment: entanglement by share, controls, DiDs, directions."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from hormesis.dashboard.app_pages.toy import directions_view, effects_view, start_view, words
from hormesis.dashboard.base.theme import is_dark
from hormesis.dashboard.charts import toy as charts
from hormesis.dashboard.parts import card
from hormesis.dashboard.rows import toy
from hormesis.dashboard.rows.cache import Database
from hormesis.dashboard.rows.context import database_now
from hormesis.dashboard.running.permission import control
from hormesis.db.problems import DatabaseProblem

READ = (
    "u and c: mean over the features of a group of the largest cosine with any other feature. Lines: "
    "means over seeds with Student's 95 % intervals; faint points: single seeds. Random: what random "
    "directions give; Welch: the largest |cos| cannot be lower than this."
)


def pick_experiment(all_experiments: pd.DataFrame) -> pd.Series:
    """The configuration (row) on show: setting, width, and the rest where several differ in it."""
    settings = [name for name in toy.SETTINGS if name in set(all_experiments["setting"])]
    setting = st.segmented_control(
        "Setting",
        settings,
        default=settings[0],
        required=True,
        format_func=lambda name: toy.SETTINGS[name],
        key="toy_setting",
        bind="query-params",
    )
    experiments = all_experiments[all_experiments["setting"] == (setting or settings[0])]
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


def pick_view() -> tuple[str, str]:
    """Keys of the probe and the cosine on show."""
    probe = st.selectbox(
        "Directions from",
        list(toy.PROBES),
        format_func=lambda name: toy.PROBES[name],
        key="toy_probe",
        bind="query-params",
        width=230,
        help=(
            "Class means of activations; logistic probes in which every feature weighs the same; or "
            "logistic probes whose examples come in the proportions of the training mixture, trained to the "
            "end or stopped early."
        ),
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
    return str(probe), str(cosine or "absolute")


def entanglement(
    experiment: pd.Series, measures: pd.DataFrame, means: pd.DataFrame, *, probe: str, cosine: str
) -> None:
    """Entanglement of the trained network, and beside it of the frozen; `measures`: a row per run of each,
    `means`: over seeds.
    """
    seeds = measures["seed"].nunique()
    grid = st.grid(2, min_column_width=480)
    for network, title in (
        ("trained", "Entanglement over the share"),
        ("frozen", "Control: the network frozen at r = 1, only the probe refitted"),
    ):
        of_network = measures[measures["network"] == network]
        with grid.cell(), st.container(border=True):
            if of_network.empty:
                st.info("No run of this kind is stored yet.", icon=":material/hourglass_empty:")
                continue
            if network == "trained":
                guide = READ
            elif probe in toy.WEIGHTED:
                guide = (
                    "The same network at every share: only the weights of the probe's examples change. "
                    "What moves here, the probe made."
                )
            else:
                guide = (
                    "The same network at every share, read by a probe that does not look at the mixture: "
                    "flat by construction. Choose the mixture-weighted probe to see what a probe alone "
                    "can draw."
                )
            card.chart(
                charts.over_share(
                    of_network,
                    means[means["network"] == network],
                    cosine,
                    y_title=f"Entanglement ({cosine} cosine)",
                    dark=is_dark(),
                    references=charts.references(experiment, cosine),
                ),
                key=f"toy_{network}",
                title=title,
                alt=f"Entanglement of the rare chain and of the controls over the share, {network} network",
                guide=guide,
                note=(
                    f"n = {seeds} seeds, {len(of_network)} runs, {experiment['features']} features in "
                    f"{experiment['dimensions']} dimensions."
                ),
                rows=of_network,
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


def norms(measures: pd.DataFrame, means: pd.DataFrame) -> None:
    """Lengths of the directions; `measures`: a row per run and network, `means`: over seeds."""
    with st.container(border=True):
        card.chart(
            charts.over_share(
                measures[measures["network"] == "trained"],
                means[means["network"] == "trained"],
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
            rows=measures[measures["network"] == "trained"][["share", "seed", "rare_norm", "control_norm"]],
        )


def empty(sentence: str) -> None:
    """Nothing stored yet: say what would bring it."""
    st.info(sentence, title="No toy run yet", icon=":material/toys:")
    st.caption("All four settings, 9 shares and 10 seeds each; one to two minutes on two cores:")
    st.code("hormesis toy", language="bash")


st.subheader("Are rare features entangled?")
st.caption(
    "The paper's toy experiment: 12 features of three chains share a few dimensions, and one chain is "
    "rare. Is it squeezed against the others?"
)
database = database_now()
home = control(database.url, st.get_option("server.address"))
try:
    experiments = toy.experiments(database)
    reason = "The database holds no run of the toy experiment."
except DatabaseProblem as problem:
    experiments, reason = pd.DataFrame(), f"{str(problem)[:1].upper()}{str(problem)[1:].rstrip('.')}."
start_view.under_way(database.url, home)
if experiments.empty:
    empty(reason)
else:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        chosen = pick_experiment(experiments)
        probe, cosine = pick_view()
    experiment = int(chosen["id"])
    effects = toy.effects(database)
    measures, means = toy.measures(database, experiment, probe), toy.means(database, experiment, probe)
    if measures.empty:
        st.info("This probe was not asked for when the runs were made.", icon=":material/hourglass_empty:")
    else:
        of_this = words.pick(
            effects, experiment_id=experiment, probe=probe, cosine=cosine, network="trained", split="all"
        )
        first = None if of_this.empty else of_this.iloc[0]
        st.markdown(f"#### {words.headline(first, str(chosen['setting']), cosine)}")
        entanglement(chosen, measures, means, probe=probe, cosine=cosine)
        effects_view.answers(effects, experiments, probe, cosine=cosine)
        effects_view.forest(effects, experiments, cosine)
        grid = st.grid(2, min_column_width=440)
        with grid.cell():
            effects_view.by_accuracy(effects, experiment, measures, probe=probe, cosine=cosine)
        with grid.cell():
            norms(measures, means)
        unit = "squared error" if chosen["setting"] == "autoencoder" else "nats per token"
        learning(database, experiment, unit)
        directions_view.directions(database, experiment, measures, probe=probe, cosine=cosine)
with st.container(border=True):
    st.markdown("**Run it with other settings**")
    start_view.start_form(home)
