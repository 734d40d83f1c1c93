"""What clients of the service name, ask and read: names of models, OpenAI-style messages, page of endpoints.

Knows the database and no model; `backend.service` answers.
"""
