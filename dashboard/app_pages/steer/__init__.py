"""Talking to the model service: what it offers, and runs that stream from it."""
