"""HEAD's work onto the target, exactly as verified: queue, leader, batch, bisect, publish, journal."""
