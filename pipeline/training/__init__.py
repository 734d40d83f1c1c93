"""Training one model on one mix."""
