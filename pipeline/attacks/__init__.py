"""Attacks on the conditions of a checkpoint: what is run, how success is judged, and the rows it becomes.

The methods themselves, on one model, are `backend.attacks`; conditions are opened by `pipeline.methods`.
"""
