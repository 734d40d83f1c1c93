"""Report sections on how the numbers came about: geometry, training, stages, definitions, provenance."""

from __future__ import annotations

import json

import pandas as pd

from hormesis.dashboard import rows
from hormesis.dashboard.base.geometry_words import (
    GAIN_NOTE,
    NULLS,
    SPACE_GUIDES,
    SPACE_TITLES,
    figure_table,
    gain_table,
    structure_sentence,
)
from hormesis.dashboard.base.records import records
from hormesis.dashboard.base.selection import mix_rows
from hormesis.dashboard.base.terms import TERMS
from hormesis.dashboard.base.wording import arms_in_words, checkpoint_label, duration, head_name
from hormesis.dashboard.charts import scorer_groups
from hormesis.dashboard.charts.frame import sample
from hormesis.dashboard.charts.heads import head_map, limits, survival
from hormesis.dashboard.charts.maps import directions
from hormesis.dashboard.charts.mixes import mix_bars
from hormesis.dashboard.charts.training import LOSSES, loss_curves
from hormesis.dashboard.document.blocks import Block, Chart, Code, Facts, Section, Table, Terms
from hormesis.dashboard.rows import geometry as geometry_rows
from hormesis.dashboard.rows.context import Context
from hormesis.db.contract.stages import stage_title

MAP_POINTS = 4_000
BEST_HEADS = 12


def _order(probes: pd.DataFrame) -> pd.DataFrame:
    return probes.drop_duplicates("checkpoint").sort_values(
        ["kind", "share", "seed"], ascending=[False, True, True]
    )


def _pair(probes: pd.DataFrame) -> tuple[str, str]:
    """Names of the first checkpoint and of the first with the largest share of toxic-source text."""
    order = _order(probes)
    toxic = order[order["kind"] == "toxic"]
    last = toxic[toxic["share"] == toxic["share"].max()] if len(toxic) else order
    return str(order["checkpoint"].iloc[0]), str(last["checkpoint"].iloc[0])


def _maps(probes: pd.DataFrame) -> list[Block]:
    """Head maps of two checkpoints and their difference; `probes`: a row per head of every checkpoint."""
    checkpoint_names = dict.fromkeys(_pair(probes))
    sides = [probes[probes["checkpoint"] == name] for name in checkpoint_names]
    span = limits("accuracy", *sides)
    charts: list[Block] = []
    for side in sides:
        figures = {
            dark: head_map(side, "accuracy", span=span, chosen=None, dark=dark) for dark in (False, True)
        }
        charts.append(
            Chart(
                f"Accuracy of every head: {checkpoint_label(side.iloc[0])}",
                figures[False],
                figures[True],
                "One square per head; white dots are steered. "
                f"n = {int(side.iloc[0]['n_test']):,} statements.",
                "Probe accuracy of every head by layer",
            )
        )
    if len(sides) == 2:
        joined = sides[0].merge(sides[1], on=["layer", "head"], suffixes=("_left", ""))
        joined["change"] = joined["accuracy"] - joined["accuracy_left"]
        reach = float(joined["change"].abs().max()) or 1e-6
        changes = joined[["layer", "head", "change"]]
        figures = {
            dark: head_map(changes, "change", span=(-reach, reach), chosen=None, dark=dark, difference=True)
            for dark in (False, True)
        }
        guide = f"The second map minus the first. Orange: toxicity is read better. n = {len(joined):,} heads."
        charts.append(
            Chart(
                "Difference of the two", figures[False], figures[True], guide, "Difference of the head maps"
            )
        )
    return charts


def _best_heads(probes: pd.DataFrame) -> Table:
    """The BEST_HEADS first rows of `probes` (a head of a checkpoint each) by select accuracy."""
    best = probes.sort_values("select_accuracy", ascending=False).head(BEST_HEADS)
    table = pd.DataFrame(
        {
            "Checkpoint": best["checkpoint"],
            "Head": [head_name(int(row.layer), int(row.head)) for row in records(best)],
            "Accuracy": [
                f"{r.accuracy:.3f} [{r.accuracy_low:.3f}, {r.accuracy_high:.3f}]" for r in records(best)
            ],
            "AUROC": best["auroc"].round(3),
            "Selectivity": best["selectivity"].round(3),
            "Separation": best["separation"].round(2),
            "n": best["n_test"],
        }
    )
    return Table("Best heads", table, "Chosen on the select split, reported on the test split.")


def geometry(context: Context) -> Section | None:
    """Head maps, their tail, and the map of directions; None without probes."""
    probes = rows.probes(context)
    if probes.empty:
        return None
    blocks = _maps(probes)
    tail = survival(probes, "accuracy", "Balanced accuracy, test split")
    guide = "A line further right has better heads; its lower end is the tail of the best ones."
    blocks.append(Chart("Accuracy over heads", tail, None, guide, "Share of heads above each accuracy"))
    blocks += _direction_maps(context)
    blocks.append(_best_heads(probes))
    gains = geometry_rows.gains(context)
    if len(gains):
        blocks.append(Table("Gains over baselines", gain_table(gains), GAIN_NOTE))
    return Section("Where does toxicity live?", blocks)


def _direction_maps(context: Context) -> list[Block]:
    """The flat map of directions beside its first null, with its figures of merit; empty without one."""
    maps = rows.projections(context)
    maps = maps[(maps["subject"] == "directions") & (maps["dimensions"] == 2) & maps["space"].notna()]
    without_null = maps[maps["null_model"].isna()].sort_values(["space", "method"], ascending=[True, False])
    if without_null.empty:
        return []
    row = without_null.iloc[0]
    nulls = maps[(maps["space"] == row["space"]) & (maps["method"] == row["method"])]
    nulls = nulls[nulls["null_model"].notna()].sort_values("null_model", ascending=False)
    method, name = str(row["method"]).upper(), str(next(iter(nulls["null_model"]), ""))
    points, note = sample(geometry_rows.direction_points(context, int(row["id"])), MAP_POINTS)
    null = None
    if name:
        null = geometry_rows.direction_points(context, int(nulls["id"].iloc[0])).iloc[points.index]
    titles = ("Toxicity directions", NULLS.get(name, name))
    figures = {
        dark: directions(points, method, null=null, titles=titles, dark=dark) for dark in (False, True)
    }
    agreements = geometry_rows.agreements(context)
    of_map = agreements[agreements["key"] == str(row["key"]).rpartition("/")[0]]
    guide = f"{structure_sentence(of_map)} {SPACE_GUIDES[row['space']]} {note}"
    alt = "Map of the toxicity directions of all heads, coloured by arm, beside random directions"
    title = SPACE_TITLES[row["space"]].format(checkpoint=row["checkpoint"])
    blocks: list[Block] = [Chart(f"{title} ({method})", figures[False], figures[True], guide.strip(), alt)]
    if len(of_map):
        blocks.append(Table("Figures of merit", figure_table(of_map), str(of_map["interval"].iloc[0])))
    return blocks


def training(context: Context) -> Section | None:
    """Loss curves, mixes and arms; None for a study that trained nothing."""
    arms = rows.arms(context)
    if arms.empty:
        return None
    blocks: list[Block] = []
    points = rows.train_points(context)
    for label, column in LOSSES.items():
        if len(points) and points[column].notna().any():
            guide = "Lower is better; one line per arm and seed, coloured by share, controls dashed."
            chart = loss_curves(points, column, 340)
            note = f"{guide} n = {points['arm'].nunique()} arms."
            alt = "Loss over tokens seen, one line per arm"
            blocks.append(Chart(f"Loss: {label.lower()}", chart, None, note, alt))
    mixes = rows.composition(context)
    if len(mixes):
        bars = mix_bars(mix_rows(mixes))
        guide = f"Clean text is the same in every arm. One seed of {mixes['seed'].nunique()} is drawn."
        blocks.append(Chart("What each model read", bars, None, guide, "Tokens by source for every arm"))
    blocks.append(Table("Arms", arms_in_words(arms), f"n = {len(arms)} arms."))
    return Section("What was trained?", blocks)


def scorers(context: Context) -> Section | None:
    """How scorers judge harmless statements by group; None where that was not measured."""
    of_study = rows.scorer_groups(context)
    if of_study.empty:
        return None
    blocks: list[Block] = []
    if of_study["ratio"].notna().any():
        light, dark = (scorer_groups.group_ratios(of_study, dark=is_dark) for is_dark in (False, True))
        guide = f"{scorer_groups.GUIDE} {scorer_groups.NOTE}"
        blocks.append(
            Chart("Flagged by group", light, dark, guide, "Ratio by group and scorer, with its null")
        )
    note = "In brackets: 95 % intervals; n counts statements that are not toxic."
    blocks.append(Table("Scorers by group", scorer_groups.group_table(of_study), note, folded=True))
    return Section(scorer_groups.TITLE, blocks, " ".join(scorer_groups.group_sentences(of_study)))


def definitions() -> Section:
    """Every term."""
    return Section("Glossary", [Terms("", TERMS)])


def provenance(context: Context, entries: dict[str, str]) -> Section:
    """Facts (`entries`: name to text), stages, checkpoints and the configuration."""
    stages = rows.stages(context)
    stage_words = pd.DataFrame(
        {
            "Stage": stages["stage"].map(stage_title),
            "On": stages["subject"],
            "State": stages["status"],
            "Working time": [duration(value) for value in stages["seconds"]],
            "Input hash": stages["input_hash"],
            "Git revision": stages["git_revision"],
            "Host": stages["host"],
            "Finished": stages["finished"],
            "Error": stages["error"],
        }
    )
    checkpoints = rows.checkpoints(context)
    checkpoint_words = pd.DataFrame(
        {
            "Checkpoint": checkpoints["name"],
            "Parameters": checkpoints["parameters"],
            "Tokens seen": checkpoints["tokens_seen"],
            "Weights hash": checkpoints["weights_hash"],
            "Path": ["outside the home" if str(p).startswith("/") else str(p) for p in checkpoints["path"]],
        }
    )
    blocks: list[Block] = [Facts("This study", entries)]
    if len(checkpoints):
        blocks.append(Table("Checkpoints", checkpoint_words, f"n = {len(checkpoints)}.", folded=True))
    if len(stages):
        blocks.append(Table("Stages", stage_words, f"n = {len(stages)}.", folded=True))
    blocks.append(Code("Configuration", json.dumps(context.config, indent=2)))
    return Section("Where these numbers come from", blocks)
