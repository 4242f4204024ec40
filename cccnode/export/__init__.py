"""The chain as tables: a process of its own follows a node over its RPC and fills SQLite or PostgreSQL."""
