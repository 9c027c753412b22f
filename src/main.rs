//! pubsub-server.
fn main() {}
