"""A study's configuration: sections of the file, scales, presets."""
