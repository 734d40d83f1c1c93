"""Executors of a study's graph: a machine's processes, those of `torchrun`, workers of a Ray cluster."""
