"""Who may see the pages: people at this machine, or others after a log-in."""
