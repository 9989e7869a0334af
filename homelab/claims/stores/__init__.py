"""Where claims are kept: files on this machine, or PostgreSQL. The same tests run on both."""
