"""Links between nodes: who may connect, what shares a connection, and how blocks reach everyone.

Read in this order: frames, messages, handshake, scores, peers, dialling (pure); directory, connection, door, network
(asyncio and TLS); events, overlay, pulls, forwarding, gossip (pure: who links with whom, who fetches what from where).
"""
