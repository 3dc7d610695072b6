"""Networks written in the formats of other programs."""
