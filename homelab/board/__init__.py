"""The page: what needs somebody, what is held, who waits, what landed. It shows, and changes nothing. See docs/adr/0016."""
