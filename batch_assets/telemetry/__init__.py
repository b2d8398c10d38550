"""What this system says of itself to other programs, in formats of theirs."""
