"""The command `hormesis serve`: the model service for scripts and OpenAI-style clients, until Ctrl-C."""

from __future__ import annotations

import json
import os
import secrets
import shlex
from contextlib import suppress
from dataclasses import replace
from typing import Annotated

import typer

from hormesis.db.contract.tokens import token_from_environment
from hormesis.db.location import database_url
from hormesis.pipeline.commands.console.terminal import Terminal

DEFAULT_PORT = 8600
HIGHEST_PORT = 65_535


def serve(
    db: Annotated[
        str | None, typer.Option("--db", help="SQLAlchemy URL or SQLite file of the database (HORMESIS_DB).")
    ] = None,
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option("--port", min=0, max=HIGHEST_PORT, help="Port; 0 takes a free one.")
    ] = DEFAULT_PORT,
) -> None:
    """Serve the checkpoints over HTTP, each under its conditions by name; OpenAI clients work.

    On an address that others can reach a bearer token is asked for: HORMESIS_TOKEN, or a new one that is
    printed.
    """
    from hormesis.backend.service.__main__ import serve as serve_until_signal
    from hormesis.backend.service.settings import Settings

    if db is not None:
        os.environ["HORMESIS_DB"] = db
    model_names = _models(database_url())
    settings = Settings(database=database_url(), host=host, token=token_from_environment())
    new_token = None if settings.loopback or settings.token else secrets.token_urlsafe(24)
    settings = replace(settings, token=settings.token or new_token)
    console = Terminal()
    token_text = "" if settings.token is None else new_token or "that of HORMESIS_TOKEN"

    def announce(address: str) -> None:
        for text in _welcome(address, model_names, token_text):
            console.say(text)

    # A shell's background process inherits an ignored Ctrl-C: the service ends then without an exception.
    with suppress(KeyboardInterrupt):
        serve_until_signal(settings, port, announce)
    console.say("stopped")


def _models(url: str) -> list[str]:
    """Names that can be asked for. Raises DatabaseProblem where there is no readable database."""
    from hormesis.backend.api.model_names import model_names
    from hormesis.db.engine import open_reader, reading

    return [name.id for name in reading(open_reader(url), model_names)]


def _welcome(address: str, model_names: list[str], token_text: str) -> list[str]:
    """Lines printed once requests are answered; `token_text` is empty where none is asked for."""
    from hormesis.backend.api.endpoints_page import example_model

    body = json.dumps({"model": example_model(model_names), "prompt": "zorbs are", "max_tokens": 24})
    near = address.replace("0.0.0.0", "127.0.0.1").replace("[::]", "[::1]")
    command = ["curl", f"{near}/v1/completions", "-H", "content-type: application/json", "-d", body]
    header = ' -H "authorization: Bearer $HORMESIS_TOKEN"' if token_text else ""
    return [
        f"model service on {address}: {len(model_names):,} models by name",
        *((f"token (HORMESIS_TOKEN): {token_text}",) if token_text else ()),
        f"endpoints: {near}/",
        f"try: {shlex.join(command)}{header}",
        "Ctrl-C ends it",
    ]
