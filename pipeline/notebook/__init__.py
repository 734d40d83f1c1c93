"""The model side of a notebook: load a model, probe its heads, steer it, generate, save."""
