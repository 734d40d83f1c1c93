"""Copying studies from one database to another, of the same kind or another, and merging pieces of one."""
