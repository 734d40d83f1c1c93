"""What the page shows while no model service answers, and the look-out for one."""

from __future__ import annotations

import streamlit as st

from hormesis.dashboard.app_pages.steer.client import ServiceProblem, TokenRefused, health
from hormesis.dashboard.base.wording import plain
from hormesis.db.contract.tokens import SERVICE_TOKEN


@st.fragment(run_every=3.0)
def wait_for_service(address: str) -> None:
    """Look again until the service answers, then draw the page."""
    try:
        health(address)
    except ServiceProblem:
        return
    st.rerun()


def absent(address: str | None, problem: ServiceProblem) -> None:
    """The designed state without a service."""
    if address is None:
        st.info(
            "Live steering needs the model service, and this dashboard was started without one.",
            title="No model service",
            icon=":material/power_off:",
        )
        st.caption("Start the dashboard so that it brings its own service, or point it to one:")
        st.code(
            "hormesis dashboard\n# or\nHORMESIS_SERVICE=http://127.0.0.1:8765 hormesis dashboard",
            language="bash",
        )
        return
    if isinstance(problem, TokenRefused):
        st.error(
            f"{plain(problem)} Set {SERVICE_TOKEN} to the token that the service was started with (its "
            "HORMESIS_TOKEN) and start the dashboard again.",
            title="The model service wants a token",
            icon=":material/key:",
        )
        st.code(f"HORMESIS_SERVICE={address} {SERVICE_TOKEN}=... hormesis dashboard", language="bash")
        return
    st.info(
        f"{plain(problem)} This page looks again every three seconds and opens by itself once the service "
        "has loaded. Everything else works meanwhile.",
        title="Waiting for the model service",
        icon=":material/hourglass_empty:",
    )
    st.caption("To start one by hand:")
    st.code("python -m hormesis.backend.service", language="bash")
    wait_for_service(address)
