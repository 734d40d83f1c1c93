"""Running studies from the dashboard: whether that is offered, the processes, and the views for it."""
