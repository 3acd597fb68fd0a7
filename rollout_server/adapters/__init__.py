"""What the ports look like in the real world; built by main alone."""
