"""The toy experiment's page in parts: its rows, its words, and starting a run."""
