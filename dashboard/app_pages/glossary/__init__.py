"""Every term on screen."""
