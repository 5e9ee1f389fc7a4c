"""What the gateway measures of itself and its engine, and how operators see it."""
