"""Rows that summarise an arm over its seeds."""
