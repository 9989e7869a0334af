"""The gate in a clone or a server: shims, chain, doctor, attack."""
