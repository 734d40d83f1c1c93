"""The button that makes a study's report, on the overview and the runs page; made when pressed."""

from __future__ import annotations

import streamlit as st

from hormesis.dashboard.base import exports
from hormesis.dashboard.rows.context import Context


def report_button(context: Context) -> None:
    """Offer the study as one self-contained HTML file; takes some seconds when pressed."""

    def make() -> bytes:
        from hormesis.dashboard.report.study import study_report

        return study_report(context)

    st.download_button(
        "Report (HTML)",
        data=make,
        file_name=f"{exports.file_name(str(context.study['name']), 'report')}.html",
        mime="text/html",
        icon=":material/description:",
        key="report",
        on_click="ignore",
        help="The whole study as one file that opens without a network. Takes some seconds.",
    )
