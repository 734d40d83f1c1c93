"""Pages as Streamlit runs them: plain scripts, one question each.

A folder called `pages` beside the app would be taken for Streamlit's older kind of pages: every link would open with
"Page not found".
"""
