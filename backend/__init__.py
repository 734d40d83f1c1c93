"""What can be done with one model: load, find heads, capture, steer, generate, score; and the service."""
