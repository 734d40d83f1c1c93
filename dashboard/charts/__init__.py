"""Plotly figures from DataFrames. No queries, no widgets; colours come from `dashboard.base.colours`."""
