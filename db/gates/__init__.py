"""Gates: what a condition loses, from rows that were read, beside the bounds of a study."""
