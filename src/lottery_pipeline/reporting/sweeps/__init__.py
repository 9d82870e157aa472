"""What a sweep shows: its rows as one table, cells over seeds, paired differences, figures, the page."""
