"""Continuations of prompts: batches, decoding, sampling, streams."""
