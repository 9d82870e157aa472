"""Who made a ticket: signatures in its mask, triggers, credentials, verification, and attacks on them."""
