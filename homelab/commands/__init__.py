"""The command line, and the only importer of click: options in, one call, an answer out."""
