"""The study of SuperTickets: the joint search beside what it could be without one of its parts."""
