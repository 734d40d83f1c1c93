"""Words, colours, terms and numbers that need no page."""
