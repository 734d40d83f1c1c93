"""Executors of a study's graph: processes of one machine, those of `torchrun`, and workers of a Ray cluster."""
