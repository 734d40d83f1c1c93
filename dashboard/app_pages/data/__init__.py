"""What went into the mixes."""
