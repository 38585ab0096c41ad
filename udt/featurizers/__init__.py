"""From columns of a table to sparse rows of weighted features."""
