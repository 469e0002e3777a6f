"""What each provider's API puts into requests and responses."""
