"""Events written for others: maps, tables, and the feeds that road operators exchange."""
