"""repocore, measured beside the peer and the ceilings: `python -m benchmarks`."""
