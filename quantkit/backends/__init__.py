"""Who runs the network: every runtime behind one protocol, each in a process of its own."""
