"""What commands show in a terminal: lines, tables, bars."""
