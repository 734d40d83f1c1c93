"""The study: its configuration, one file per stage, the runner and the command line."""
