"""The answer that a page or a report of a study begins with, from its rows."""

from __future__ import annotations

from hormesis.dashboard import rows
from hormesis.dashboard.base.headlines import Headline, headline, imported_headline
from hormesis.dashboard.base.selection import Choice, within_choice
from hormesis.dashboard.base.verdicts import in_scope
from hormesis.dashboard.base.wording import is_imported
from hormesis.dashboard.rows.context import Context


def study_headline(context: Context, page: str, choice: Choice) -> Headline:
    """What the dose does; of a study without a dose, what steering does to its first checkpoint."""
    choices = rows.summary_choices(context)
    kinds = choices[choices["name"] == "toxicity"]["kind"]
    if len(kinds) and kinds.map(is_imported).astype(bool).all():
        conditions = rows.summaries_with_cost(
            context, name="toxicity", prompt_set=choice.prompt_set, scorer=choice.scorer
        )
        return imported_headline(conditions, within_choice(rows.null_effects(context), choice))
    verdicts = in_scope(rows.verdicts(context), choice.prompt_set, choice.scorer)
    return headline(page, verdicts, view=choice.view)
