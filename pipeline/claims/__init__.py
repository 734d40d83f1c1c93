"""Claims of the paper and of its readers, each a declared test on a study's rows, and their verdicts."""
