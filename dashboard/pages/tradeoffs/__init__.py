"""Toxicity against cost."""
