"""The live service: generating under steering and scoring, over HTTP, for the dashboard and for scripts.

Knows the database as a reader and the backend's own parts; knows nothing of studies in progress or of pages.
`python -m backend.service` runs it; `backend.service.app.create_app` is the application.
"""
