"""What is checked of a study before its first row is written."""
