"""Everything that is SQL: the tables, the queries and the strategy that chooses between them."""
