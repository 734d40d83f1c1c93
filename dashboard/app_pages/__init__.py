"""Pages as Streamlit runs them: plain scripts, one question each.

Not `pages`: Streamlit takes a folder of that name beside the app for its older kind of pages, and every link
would open with "Page not found".
"""
