"""Things of the operating system: processes, signals, files and locks, clock."""
