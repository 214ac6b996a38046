"""The space-time network: its blocks, its windows, one training loop, export. Imports PyTorch only where something is trained."""
