"""Loading a model, its heads, steering them, and saving it."""
