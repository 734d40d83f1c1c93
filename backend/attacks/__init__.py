"""Attacks on one model: suffix search, injections, long texts, rounded weights, fine-tuning detox away.

Nothing here knows studies or databases; every function takes a loaded model and the steering it is under.
"""
