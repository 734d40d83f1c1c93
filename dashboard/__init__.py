"""The Streamlit pages. Reads rows, talks to the service over HTTP, never imports torch."""
