"""What a deployment needs around the flows: their registration, a worker, and the stack that it runs in."""
