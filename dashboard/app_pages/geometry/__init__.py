"""Where toxicity lies among heads and directions."""
