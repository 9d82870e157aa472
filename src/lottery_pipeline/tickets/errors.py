"""The error of this package and of all code that works on tickets."""


class TicketError(ValueError):
    """Something is wrong with a ticket, a ladder or what is asked of one; one sentence says what."""
