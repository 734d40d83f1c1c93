"""Detox methods behind one interface: a checkpoint under any of them is opened and used in the same way.

    for condition in read_conditions(context, checkpoint):                    # methods.condition
        opened = open_condition(context, checkpoint, condition)               # methods.open_condition
        texts = opened.generate(prompts, seeds=seeds, new_tokens=24)          # prefix and steering included
        losses = opened.losses(windows, batch_size=32)                        # paired with the bare model's
        ...                                                                  # or by hand:
        with steered(opened.loaded, opened.steering):
            logits = opened.loaded.model(**opened.encode(["text"]))

A method is one or more of three things, in any combination (`dpo+iti`, `prompt+iti`): other weights (`sft`,
`dpo`), text in front of every prompt (`prompt`, and on their own arms `meda`, `inst`), shifts of heads
(`iti`, `random-direction`). `none` is none of them. What is done with an opened condition (generating,
cross-entropy, capability, attacks) needs to know no method.

`OpenedCondition` (see `pipeline.methods.opened_condition`) holds:

- `loaded`: `backend.model.loaded.LoadedModel`, the tuned weights where the method has some;
- `steering`: `backend.model.steering.RowSteering`, as `backend.generation.generation.generate`,
`backend.model.steering.steered` and
  `backend.crossentropy.window_losses` take it;
- `prefix`: text put in front of every prompt, "" for none; `prefix_ids`: its tokens;
- `prompt(text)`: the text as the model is to see it; `continuation(text)`: what the model said, without marks
  that its arm's training put into text.
"""
