"""The model card of a saved checkpoint: its frame, the rows of a steering, how to check that it arrived."""

from __future__ import annotations

from collections.abc import Sequence

from hormesis.backend.model.directions import HeadDirection
from hormesis.backend.model.serving import serving_lines

FRONT = """---
library_name: transformers
pipeline_tag: text-generation
tags:
- hormesis
- detoxification
{tags}---

# {title}

{opening}
"""

CHECK = """## Check that the steering arrived

The steering lies in the biases of the attention output projections, which some programs drop:

PROGRAMS

`steering.json` holds expected logits (and log-probabilities) of a fixed input. In transformers:

```python
import json

import torch
from transformers import AutoModelForCausalLM

folder = "."  # of this file
expected = json.load(open(f"{folder}/steering.json"))["expected"]
logits = AutoModelForCausalLM.from_pretrained(folder)(torch.tensor([expected["token_ids"]])).logits[0, -1]
difference = (logits[expected["tokens"]] - torch.tensor(expected["logits"])).abs().max().item()
assert difference <= expected["tolerance"], f"not steered as it was saved: logits differ by {difference:g}"
```

A server is asked for the log-probabilities of the next token after `token_ids`; those of `tokens` must be
`log_probabilities` to within `tolerance`. Where they are `unsteered_log_probabilities`, it lost the steering.
"""


def card_text(
    title: str,
    opening: str,
    rows: Sequence[Sequence[str]],
    *,
    measured: str,
    heads: Sequence[HeadDirection],
    model_type: str,
) -> str:
    """Text of the README.md that lies beside the weights, with front matter.

    opening: first paragraph, with its end of line; rows: (title, value); measured: the section on it, with
    its heading; heads: those that are steered; model_type: of config.json.
    """
    text = FRONT.format(tags="- activation-steering\n" if heads else "", title=title, opening=opening)
    text += table(("", ""), rows) + "\n" + measured
    if heads:
        programs = "\n".join(f"- {line}" for line in serving_lines(model_type))
        text += "\n" + CHECK.replace("PROGRAMS", programs)
    return text


def steering_rows(heads: Sequence[HeadDirection], strength: str, *, order: str = "") -> list[tuple[str, str]]:
    """(title, value) rows on a steering at every position; `order`: of the heads, in words."""
    names = ", ".join(f"{head.layer}.{head.head}" for head in heads)
    return [
        ("heads", f"{len(heads)} (layer.head{order}): {names}"),
        ("strength", strength),
        ("positions", "every one"),
    ]


def steered_heads(heads: Sequence[HeadDirection]) -> list[dict[str, float]]:
    """The heads as `steering.json` lists them."""
    return [{"layer": head.layer, "head": head.head, "sigma": head.sigma} for head in heads]


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(cells) + " |\n" for cells in lines)
