"""Tickets: what they are, and the files they travel in. Files from other people are checked before use."""

from lottery_pipeline.tickets.errors import TicketError
from lottery_pipeline.tickets.ladder import Ladder
from lottery_pipeline.tickets.ticket import Ticket

__all__ = ["Ladder", "Ticket", "TicketError"]
