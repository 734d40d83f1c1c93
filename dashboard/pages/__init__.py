"""Pages as Streamlit runs them: plain scripts, one question each."""
