//! What a subscriber is owed: delivery, retries, dead letters, payload types, as machines.
