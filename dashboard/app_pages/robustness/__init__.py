"""The page on attacks and capability: its rows, its sections, its words."""
