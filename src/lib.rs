//! pubsub.
