"""What pages are made of: card, controls, states, texts, progress."""
