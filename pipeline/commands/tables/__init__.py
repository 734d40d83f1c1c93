"""Tables written to files: their formats, and the page that says what each column means."""
