"""States, records, policy, money and errors: pure, with nothing but the standard library."""
