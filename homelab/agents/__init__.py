"""What coding agents are given: words and settings in the repository, and an answer to each event of theirs."""
