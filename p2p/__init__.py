"""Links between nodes: who may connect, what shares a connection, and how blocks reach everyone.

Read in this order: frames, addresses, messages, handshake, scores, peers, heard, book, dialling (pure); directory,
connection, door, keeping, network (asyncio and TLS); events, overlay, pulls, forwarding, spreading, gossip (pure: who
links with whom, who fetches what from where).
"""
