"""claims features hardness and toy.

Revision 0002, after 0001.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision: str = "0002"
down_revision: str | None = "0001"
branch_labels: None = None
depends_on: None = None


def upgrade() -> None:
    """Make the tables of this revision."""
    op.create_table(
        "toy_experiment",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("hash", sa.String(), nullable=False),
        sa.Column("setting", sa.String(length=200), nullable=False),
        sa.Column("config", sa.JSON(), nullable=False),
        sa.Column("created", sa.DateTime(), nullable=False),
        sa.Column("features", sa.Integer(), nullable=False),
        sa.Column("dimensions", sa.Integer(), nullable=False),
        sa.Column("welch", sa.Double(), nullable=False),
        sa.Column("null_absolute", sa.Double(), nullable=False),
        sa.Column("null_signed", sa.Double(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("done", sa.Double(), nullable=False),
        sa.Column("total", sa.Double(), nullable=False),
        sa.Column("error", sa.String(), nullable=True),
        sa.Column("heartbeat", sa.DateTime(), nullable=True),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.Column("host", sa.String(), nullable=False),
        sa.Column("packages", sa.JSON(), nullable=False),
        sa.Column("git_revision", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_toy_experiment")),
        sa.UniqueConstraint("hash", name=op.f("uq_toy_experiment_hash")),
    )
    op.create_table(
        "attack_test",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("study_id", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("setting", sa.String(), nullable=False),
        sa.Column("rule", sa.String(), nullable=False),
        sa.Column("contrast", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("share", sa.Double(), nullable=False),
        sa.Column("condition", sa.String(), nullable=False),
        sa.Column("rate", sa.Double(), nullable=False),
        sa.Column("reference", sa.Double(), nullable=False),
        sa.Column("difference", sa.Double(), nullable=False),
        sa.Column("low", sa.Double(), nullable=True),
        sa.Column("high", sa.Double(), nullable=True),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("only_here", sa.Integer(), nullable=False),
        sa.Column("only_there", sa.Integer(), nullable=False),
        sa.Column("p_paired", sa.Double(), nullable=False),
        sa.Column("p_unpaired", sa.Double(), nullable=False),
        sa.Column("interval", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["study_id"], ["study.id"], name=op.f("fk_attack_test_study_id_study"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_attack_test")),
        sa.UniqueConstraint("study_id", "key", name=op.f("uq_attack_test_study_id_key")),
    )
    op.create_table(
        "dose_fit",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("study_id", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("condition_key", sa.String(), nullable=False),
        sa.Column("prompt_set", sa.String(), nullable=False),
        sa.Column("scorer", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("p", sa.Double(), nullable=True),
        sa.Column("evidence_ratio", sa.Double(), nullable=True),
        sa.Column("optimum", sa.Double(), nullable=True),
        sa.Column("optimum_low", sa.Double(), nullable=True),
        sa.Column("optimum_high", sa.Double(), nullable=True),
        sa.Column("n_shares", sa.Integer(), nullable=False),
        sa.Column("n_seeds", sa.Integer(), nullable=False),
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("curve", sa.JSON(), nullable=False),
        sa.Column("parameters", sa.JSON(), nullable=False),
        sa.Column("detail", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["study_id"], ["study.id"], name=op.f("fk_dose_fit_study_id_study"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_dose_fit")),
        sa.UniqueConstraint("study_id", "key", name=op.f("uq_dose_fit_study_id_key")),
    )
    op.create_table(
        "head_summary",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("study_id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("share", sa.Double(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("value", sa.Double(), nullable=False),
        sa.Column("low", sa.Double(), nullable=False),
        sa.Column("high", sa.Double(), nullable=False),
        sa.Column("difference", sa.Double(), nullable=True),
        sa.Column("difference_low", sa.Double(), nullable=True),
        sa.Column("difference_high", sa.Double(), nullable=True),
        sa.Column("p", sa.Double(), nullable=True),
        sa.Column("n_seeds", sa.Integer(), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("heads", sa.Integer(), nullable=False),
        sa.Column("interval", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["study_id"], ["study.id"], name=op.f("fk_head_summary_study_id_study"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_head_summary")),
        sa.UniqueConstraint(
            "study_id", "kind", "share", "name", name=op.f("uq_head_summary_study_id_kind_share_name")
        ),
    )
    op.create_table(
        "toy_effect",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("experiment_id", sa.Integer(), nullable=False),
        sa.Column("network", sa.String(), nullable=False),
        sa.Column("probe", sa.String(), nullable=False),
        sa.Column("cosine", sa.String(), nullable=False),
        sa.Column("split", sa.String(), nullable=False),
        sa.Column("value", sa.Double(), nullable=True),
        sa.Column("low", sa.Double(), nullable=True),
        sa.Column("high", sa.Double(), nullable=True),
        sa.Column("n_seeds", sa.Integer(), nullable=False),
        sa.Column("n_runs", sa.Integer(), nullable=False),
        sa.Column("n_positive", sa.Integer(), nullable=False),
        sa.Column("interval", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["experiment_id"],
            ["toy_experiment.id"],
            name=op.f("fk_toy_effect_experiment_id_toy_experiment"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_toy_effect")),
        sa.UniqueConstraint(
            "experiment_id",
            "network",
            "probe",
            "cosine",
            "split",
            name=op.f("uq_toy_effect_experiment_id_network_probe_cosine_split"),
        ),
    )
    op.create_table(
        "toy_run",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("experiment_id", sa.Integer(), nullable=False),
        sa.Column("share", sa.Double(), nullable=False),
        sa.Column("seed", sa.Integer(), nullable=False),
        sa.Column("rare_loss", sa.Double(), nullable=False),
        sa.Column("control_loss", sa.Double(), nullable=False),
        sa.Column("rare_accuracy", sa.Double(), nullable=False),
        sa.Column("control_accuracy", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(
            ["experiment_id"],
            ["toy_experiment.id"],
            name=op.f("fk_toy_run_experiment_id_toy_experiment"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_toy_run")),
        sa.UniqueConstraint(
            "experiment_id", "share", "seed", name=op.f("uq_toy_run_experiment_id_share_seed")
        ),
    )
    op.create_table(
        "verdict",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("study_id", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("claim", sa.String(length=200), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("family", sa.String(), nullable=False),
        sa.Column("prompt_set", sa.String(), nullable=True),
        sa.Column("scorer", sa.String(), nullable=True),
        sa.Column("statement", sa.String(), nullable=False),
        sa.Column("question", sa.String(), nullable=False),
        sa.Column("estimand", sa.String(), nullable=False),
        sa.Column("rows_used", sa.String(), nullable=False),
        sa.Column("rule", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("detail", sa.String(), nullable=False),
        sa.Column("value", sa.Double(), nullable=True),
        sa.Column("low", sa.Double(), nullable=True),
        sa.Column("high", sa.Double(), nullable=True),
        sa.Column("unit", sa.String(), nullable=False),
        sa.Column("n", sa.Integer(), nullable=True),
        sa.Column("n_seeds", sa.Integer(), nullable=True),
        sa.Column("p", sa.Double(), nullable=True),
        sa.Column("p_holm", sa.Double(), nullable=True),
        sa.Column("detectable", sa.Double(), nullable=True),
        sa.Column("interval", sa.String(), nullable=False),
        sa.Column("paper", sa.String(), nullable=False),
        sa.Column("paper_value", sa.Double(), nullable=True),
        sa.Column("evaluated", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["study_id"], ["study.id"], name=op.f("fk_verdict_study_id_study"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_verdict")),
        sa.UniqueConstraint("study_id", "key", name=op.f("uq_verdict_study_id_key")),
    )
    op.create_table(
        "toy_measure",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("network", sa.String(), nullable=False),
        sa.Column("probe", sa.String(), nullable=False),
        sa.Column("rare_absolute", sa.Double(), nullable=False),
        sa.Column("control_absolute", sa.Double(), nullable=False),
        sa.Column("rare_signed", sa.Double(), nullable=False),
        sa.Column("control_signed", sa.Double(), nullable=False),
        sa.Column("rare_norm", sa.Double(), nullable=False),
        sa.Column("control_norm", sa.Double(), nullable=False),
        sa.Column("vectors", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["run_id"], ["toy_run.id"], name=op.f("fk_toy_measure_run_id_toy_run"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_toy_measure")),
        sa.UniqueConstraint("run_id", "network", "probe", name=op.f("uq_toy_measure_run_id_network_probe")),
    )
    op.create_table(
        "toy_point",
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("rare_loss", sa.Double(), nullable=False),
        sa.Column("control_loss", sa.Double(), nullable=False),
        sa.Column("rare_accuracy", sa.Double(), nullable=False),
        sa.Column("control_accuracy", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(
            ["run_id"], ["toy_run.id"], name=op.f("fk_toy_point_run_id_toy_run"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("run_id", "step", name=op.f("pk_toy_point")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "entanglement",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("checkpoint_id", sa.Integer(), nullable=False),
        sa.Column("probe_set_id", sa.Integer(), nullable=False),
        sa.Column("position", sa.String(), nullable=False),
        sa.Column("layer", sa.Integer(), nullable=False),
        sa.Column("head", sa.Integer(), nullable=False),
        sa.Column("value", sa.Double(), nullable=True),
        sa.Column("low", sa.Double(), nullable=True),
        sa.Column("high", sa.Double(), nullable=True),
        sa.Column("feature", sa.String(), nullable=True),
        sa.Column("null_mean", sa.Double(), nullable=True),
        sa.Column("null_high", sa.Double(), nullable=True),
        sa.Column("p", sa.Double(), nullable=True),
        sa.Column("random_median", sa.Double(), nullable=True),
        sa.Column("random_high", sa.Double(), nullable=True),
        sa.Column("welch", sa.Double(), nullable=True),
        sa.Column("used", sa.Integer(), nullable=False),
        sa.Column("tried", sa.Integer(), nullable=False),
        sa.Column("dimensions", sa.Integer(), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("method", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["checkpoint_id"],
            ["checkpoint.id"],
            name=op.f("fk_entanglement_checkpoint_id_checkpoint"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["probe_set_id"],
            ["probe_set.id"],
            name=op.f("fk_entanglement_probe_set_id_probe_set"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_entanglement")),
        sa.UniqueConstraint(
            "checkpoint_id", "probe_set_id", "position", "layer", "head", name="uq_entanglement_head"
        ),
    )
    op.create_table(
        "feature_cosine",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("checkpoint_id", sa.Integer(), nullable=False),
        sa.Column("probe_set_id", sa.Integer(), nullable=False),
        sa.Column("position", sa.String(), nullable=False),
        sa.Column("layer", sa.Integer(), nullable=False),
        sa.Column("head", sa.Integer(), nullable=False),
        sa.Column("variable", sa.String(), nullable=False),
        sa.Column("feature", sa.String(), nullable=False),
        sa.Column("cosine", sa.Double(), nullable=True),
        sa.Column("low", sa.Double(), nullable=True),
        sa.Column("high", sa.Double(), nullable=True),
        sa.Column("null_low", sa.Double(), nullable=True),
        sa.Column("null_high", sa.Double(), nullable=True),
        sa.Column("p", sa.Double(), nullable=True),
        sa.Column("reliability", sa.Double(), nullable=False),
        sa.Column("toxicity_reliability", sa.Double(), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("n_feature", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["checkpoint_id"],
            ["checkpoint.id"],
            name=op.f("fk_feature_cosine_checkpoint_id_checkpoint"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["probe_set_id"],
            ["probe_set.id"],
            name=op.f("fk_feature_cosine_probe_set_id_probe_set"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_feature_cosine")),
        sa.UniqueConstraint(
            "checkpoint_id", "probe_set_id", "position", "layer", "head", "feature", name="uq_feature_cosine"
        ),
    )
    op.create_table(
        "lens_token",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("checkpoint_id", sa.Integer(), nullable=False),
        sa.Column("probe_set_id", sa.Integer(), nullable=False),
        sa.Column("position", sa.String(), nullable=False),
        sa.Column("method", sa.String(), nullable=False),
        sa.Column("layer", sa.Integer(), nullable=False),
        sa.Column("head", sa.Integer(), nullable=False),
        sa.Column("side", sa.String(), nullable=False),
        sa.Column("rank", sa.Integer(), nullable=False),
        sa.Column("token_id", sa.Integer(), nullable=False),
        sa.Column("token", sa.String(), nullable=False),
        sa.Column("logit", sa.Double(), nullable=False),
        sa.Column("permuted", sa.Double(), nullable=True),
        sa.Column("random", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(
            ["checkpoint_id"],
            ["checkpoint.id"],
            name=op.f("fk_lens_token_checkpoint_id_checkpoint"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["probe_set_id"],
            ["probe_set.id"],
            name=op.f("fk_lens_token_probe_set_id_probe_set"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_lens_token")),
        sa.UniqueConstraint(
            "checkpoint_id",
            "probe_set_id",
            "position",
            "method",
            "layer",
            "head",
            "side",
            "rank",
            name="uq_lens_token_rank",
        ),
    )
    op.create_table(
        "probe_hits",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("checkpoint_id", sa.Integer(), nullable=False),
        sa.Column("probe_set_id", sa.Integer(), nullable=False),
        sa.Column("example_list_id", sa.Integer(), nullable=False),
        sa.Column("position", sa.String(), nullable=False),
        sa.Column("heads", sa.Integer(), nullable=False),
        sa.Column("statements", sa.Integer(), nullable=False),
        sa.Column("bits", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["checkpoint_id"],
            ["checkpoint.id"],
            name=op.f("fk_probe_hits_checkpoint_id_checkpoint"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["example_list_id"], ["example_list.id"], name=op.f("fk_probe_hits_example_list_id_example_list")
        ),
        sa.ForeignKeyConstraint(
            ["probe_set_id"],
            ["probe_set.id"],
            name=op.f("fk_probe_hits_probe_set_id_probe_set"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_probe_hits")),
        sa.UniqueConstraint(
            "checkpoint_id",
            "probe_set_id",
            "position",
            name=op.f("uq_probe_hits_checkpoint_id_probe_set_id_position"),
        ),
    )
    op.create_table(
        "attack",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("checkpoint_id", sa.Integer(), nullable=False),
        sa.Column("condition_id", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("setting", sa.String(), nullable=False),
        sa.Column("data", sa.String(), nullable=False),
        sa.Column("scorer", sa.String(), nullable=False),
        sa.Column("rule", sa.String(), nullable=False),
        sa.Column("budget", sa.Double(), nullable=False),
        sa.Column("budget_unit", sa.String(), nullable=False),
        sa.Column("parameters", sa.JSON(), nullable=False),
        sa.Column("input_hash", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["checkpoint_id"],
            ["checkpoint.id"],
            name=op.f("fk_attack_checkpoint_id_checkpoint"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["condition_id"],
            ["condition.id"],
            name=op.f("fk_attack_condition_id_condition"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_attack")),
        sa.UniqueConstraint("condition_id", "key", name=op.f("uq_attack_condition_id_key")),
    )
    with op.batch_alter_table("attack", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_attack_checkpoint_id"), ["checkpoint_id"], unique=False)

    op.create_table(
        "capability_score",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("checkpoint_id", sa.Integer(), nullable=False),
        sa.Column("condition_id", sa.Integer(), nullable=False),
        sa.Column("task", sa.String(), nullable=False),
        sa.Column("part", sa.String(), nullable=False),
        sa.Column("measure", sa.String(), nullable=False),
        sa.Column("value", sa.Double(), nullable=False),
        sa.Column("low", sa.Double(), nullable=True),
        sa.Column("high", sa.Double(), nullable=True),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("chance", sa.Double(), nullable=True),
        sa.Column("unit", sa.String(), nullable=False),
        sa.Column("interval", sa.String(), nullable=False),
        sa.Column("data", sa.String(), nullable=False),
        sa.Column("change", sa.Double(), nullable=True),
        sa.Column("change_low", sa.Double(), nullable=True),
        sa.Column("change_high", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(
            ["checkpoint_id"],
            ["checkpoint.id"],
            name=op.f("fk_capability_score_checkpoint_id_checkpoint"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["condition_id"],
            ["condition.id"],
            name=op.f("fk_capability_score_condition_id_condition"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_capability_score")),
        sa.UniqueConstraint(
            "condition_id",
            "task",
            "part",
            "measure",
            name=op.f("uq_capability_score_condition_id_task_part_measure"),
        ),
    )
    with op.batch_alter_table("capability_score", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_capability_score_checkpoint_id"), ["checkpoint_id"], unique=False
        )

    op.create_table(
        "attack_outcome",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("attack_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("value", sa.Double(), nullable=True),
        sa.Column("low", sa.Double(), nullable=True),
        sa.Column("high", sa.Double(), nullable=True),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("unit", sa.String(), nullable=False),
        sa.Column("interval", sa.String(), nullable=False),
        sa.Column("censored", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(
            ["attack_id"], ["attack.id"], name=op.f("fk_attack_outcome_attack_id_attack"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_attack_outcome")),
        sa.UniqueConstraint("attack_id", "name", name=op.f("uq_attack_outcome_attack_id_name")),
    )
    op.create_table(
        "attack_point",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("attack_id", sa.Integer(), nullable=False),
        sa.Column("series", sa.String(), nullable=False),
        sa.Column("x", sa.Double(), nullable=False),
        sa.Column("value", sa.Double(), nullable=False),
        sa.Column("low", sa.Double(), nullable=True),
        sa.Column("high", sa.Double(), nullable=True),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["attack_id"], ["attack.id"], name=op.f("fk_attack_point_attack_id_attack"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_attack_point")),
        sa.UniqueConstraint("attack_id", "series", "x", name=op.f("uq_attack_point_attack_id_series_x")),
    )
    op.create_table(
        "attack_trial",
        sa.Column("attack_id", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("goal", sa.String(), nullable=False),
        sa.Column("target", sa.String(), nullable=True),
        sa.Column("prompt", sa.String(), nullable=False),
        sa.Column("text", sa.String(), nullable=False),
        sa.Column("success", sa.Boolean(), nullable=False),
        sa.Column("prefix_match", sa.Boolean(), nullable=True),
        sa.Column("score", sa.Double(), nullable=False),
        sa.Column("before", sa.Double(), nullable=True),
        sa.Column("loss_first", sa.Double(), nullable=True),
        sa.Column("loss_last", sa.Double(), nullable=True),
        sa.Column("evaluations", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(
            ["attack_id"], ["attack.id"], name=op.f("fk_attack_trial_attack_id_attack"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("attack_id", "position", name=op.f("pk_attack_trial")),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    """Undo this revision."""
    op.drop_table("attack_trial")
    op.drop_table("attack_point")
    op.drop_table("attack_outcome")
    with op.batch_alter_table("capability_score", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_capability_score_checkpoint_id"))

    op.drop_table("capability_score")
    with op.batch_alter_table("attack", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_attack_checkpoint_id"))

    op.drop_table("attack")
    op.drop_table("probe_hits")
    op.drop_table("lens_token")
    op.drop_table("feature_cosine")
    op.drop_table("entanglement")
    op.drop_table("toy_point")
    op.drop_table("toy_measure")
    op.drop_table("verdict")
    op.drop_table("toy_run")
    op.drop_table("toy_effect")
    op.drop_table("head_summary")
    op.drop_table("dose_fit")
    op.drop_table("attack_test")
    op.drop_table("toy_experiment")
