"""What may be deleted when, how much creators may have, and the erasure of what somebody has."""
