"""`python -m hormesis`: the command line."""

from hormesis.pipeline.cli import main

main()
