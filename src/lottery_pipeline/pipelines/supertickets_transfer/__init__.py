"""Transfer: SuperTickets found for one task, moved to the other tasks of the same images."""
