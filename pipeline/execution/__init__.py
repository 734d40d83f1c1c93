"""Running a study: declared stages, their graph, the walk over it, and the executors that do the work."""
