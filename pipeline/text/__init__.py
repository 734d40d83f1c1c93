"""From sources to token streams: tokenizer, pools, mixes, prefixes, splits."""
