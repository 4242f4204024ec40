"""What a transaction costs, and how many of them the network carries: `python -m benchmarks NAME`."""
