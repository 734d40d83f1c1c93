"""Items written as a task of lm-evaluation-harness, so that it can be run on them without a network."""

from __future__ import annotations

import json
from pathlib import Path

from pipeline.capability.items import Task


def harness_folder(folder: Path, task: Task, *, normed: bool = False) -> Path:
    """A folder with the task as a file of the harness's own, `local_items`, made of the same items."""
    folder.mkdir(exist_ok=True)
    rows = [{"context": i.context, "choices": [c.removeprefix(" ") for c in i.choices], "answer": i.answer}
            for i in task.items]  # fmt: skip
    data = folder / "items.jsonl"
    data.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    metrics = "".join(
        f"  - metric: {name}\n    aggregation: mean\n    higher_is_better: true\n"
        for name in (("acc", "acc_norm") if normed else ("acc",))
    )
    (folder / "local.yaml").write_text(
        f"task: local_items\ndataset_path: json\ndataset_kwargs:\n  data_files:\n    test: {data}\n"
        'test_split: test\noutput_type: multiple_choice\ndoc_to_text: "{{context}}"\n'
        'doc_to_choice: "{{choices}}"\ndoc_to_target: answer\nmetric_list:\n' + metrics,
        encoding="utf-8",
    )
    return folder
