"""A run as a link, JSON, curl and Python, and the way back. Knows requests and widgets."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from pprint import pformat
from typing import Any

import streamlit as st

from hormesis.dashboard.app_pages.steer.catalogue import Offer
from hormesis.dashboard.app_pages.steer.client import service_token
from hormesis.dashboard.app_pages.steer.links import link, read
from hormesis.dashboard.app_pages.steer.restore import put_back
from hormesis.dashboard.app_pages.steer.session import Record
from hormesis.dashboard.app_pages.steer.settings import LoadProblem
from hormesis.dashboard.base.wording import plain
from hormesis.db.contract.tokens import SERVICE_TOKEN

_PROBLEM = "_load_problem"


def curl(address: str, body: dict[str, Any], *, token: bool) -> str:
    """A shell line that streams the request; the token itself is never written out."""
    secret = f' -H "Authorization: Bearer ${SERVICE_TOKEN}"' if token else ""
    kind = "-H 'Content-Type: application/json'"
    return f"curl -N {shlex.quote(address + '/generate')} {kind}{secret} -d {shlex.quote(json.dumps(body))}"


_PROGRAM = """\
import json
{imports}
import httpx

url = {url!r}
request = {request}

with httpx.stream("POST", url, json=request, timeout=120{options}) as answer:
    if answer.is_error:
        raise SystemExit(answer.read().decode())
    event = ""
    for line in answer.iter_lines():
        if line.startswith("event: "):
            event = line.removeprefix("event: ")
        elif line.startswith("data: "):
            data = json.loads(line.removeprefix("data: "))
            if event == "done":  # one text; "token" events carry its pieces as they come
                print("pane", data["pane"], "text", data["sample"], data["scores"], data["cost"])
                print(data["text"])
            elif event == "summary":  # one pane: means over its texts, and what was steered
                print("summary", json.dumps(data))
            elif event == "error":
                raise SystemExit(data["message"])
"""


def python(address: str, body: dict[str, Any], *, token: bool) -> str:
    """A program that sends the request `body` and prints each pane; `token`: whether one is sent along."""
    options = f', headers={{"Authorization": "Bearer " + os.environ["{SERVICE_TOKEN}"]}}' if token else ""
    return _PROGRAM.format(
        imports="import os\n" if token else "",
        url=f"{address}/generate",
        request=pformat(body, sort_dicts=False, width=88),
        options=options,
    )


def copies(record: Record, offers: Sequence[Offer]) -> None:
    """The run's request in four forms, folded away; `offers`: checkpoints of the service."""
    fold = st.expander("Copy this run", icon=":material/content_copy:", key="copies", on_change="rerun")
    if not fold.open:
        return
    body, address = record.run.request.model_dump(), record.run.address
    token = service_token() is not None
    with fold:
        link_tab, json_tab, curl_tab, python_tab = st.tabs(["Link", "JSON", "curl", "Python"])
        try:
            url = link(st.context.url or "", record.study, record.settings, offers=offers)
        except LoadProblem as problem:
            link_tab.caption(plain(problem))
        else:
            link_tab.code(url, language=None, wrap_lines=True)
            link_tab.caption(
                "Opens this page with the same prompt, panes and sampling; its seed decides the rest."
            )
        json_tab.code(json.dumps(body, indent=2), language="json")
        curl_tab.code(curl(address, body, token=token), language="bash", wrap_lines=True)
        python_tab.code(python(address, body, token=token), language="python")


def load_box(offers: Sequence[Offer]) -> None:
    """A box that takes a link or a request as JSON and sets every control by it."""

    def apply() -> None:
        st.session_state.pop(_PROBLEM, None)
        try:
            put_back(read(str(st.session_state.get("load_text") or ""), offers), offers)
        except LoadProblem as problem:
            st.session_state[_PROBLEM] = str(problem)

    with st.popover(
        "Load", icon=":material/upload:", help="Set every control from a link or a request as JSON"
    ):
        st.text_area("Link or JSON", key="load_text", height=120, on_change="ignore")
        st.button("Set the controls", key="load", on_click=apply)
        if st.session_state.get(_PROBLEM):
            st.warning(plain(st.session_state[_PROBLEM]), icon=":material/error:")
