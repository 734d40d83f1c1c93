"""What a model can still do under a condition: items to choose between, held-out text, the harness."""
