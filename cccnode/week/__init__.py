"""One week in a city, from its genesis to Sunday night: what people do, and what must be true every evening."""
