"""homelab.toml: whose rules hold, which suites, what is found in a tree."""
