"""One file per stage: each takes the study, its subject and a reporter, and writes rows and files."""
