"""JSON-RPC 2.0 over HTTP: what clients ask and operators watch."""
