"""What a run showed, for the terminal and as a page."""
