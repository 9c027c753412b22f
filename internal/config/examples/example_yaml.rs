//! Prints the example configuration: `cargo run -p pubsub-config --example example_yaml`.

use std::io::{self, Write};

fn main() -> io::Result<()> {
    io::stdout().write_all(pubsub_config::example_yaml().as_bytes())
}
