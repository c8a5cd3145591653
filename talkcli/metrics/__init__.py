"""How near a film comes to the one that it should look like."""
