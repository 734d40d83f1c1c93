"""The live service: generating under steering and scoring, over HTTP, for the dashboard and for scripts.

Reads the database, never writes it. `python -m hormesis.backend.service` runs it;
`backend.service.app.create_app` is the application.
"""
