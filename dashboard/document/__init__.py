"""One self-contained HTML page from blocks and figures."""
