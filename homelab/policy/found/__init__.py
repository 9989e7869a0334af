"""What people already wrote that verifies their repository, one module a source; each proposes, none runs anything."""
