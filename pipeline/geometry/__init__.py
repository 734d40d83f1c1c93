"""Directions compared: entanglement, logit lens, projections."""
