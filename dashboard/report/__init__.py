"""A whole study, or one chart, as a single HTML file that opens without a network."""
