"""Linear probes on attention heads, the features beside toxicity, and how well heads read them."""
