//! Publishes and handles without async.
#![expect(clippy::print_stdout, reason = "an example may print")]

use std::sync::mpsc::channel;

use pubsub::blocking::Messenger;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let messenger = Messenger::open("data")?;
    let (to, orders) = channel();
    messenger
        .subscribe("orders", "billing", move |order| to.send(order).map_err(|_| "nobody waits"))?;
    messenger.publish("orders", "com.acme.Order", &serde_json::json!({"id": 7}))?;
    println!("order {}", orders.recv()?.json().ok_or("not JSON")?["id"]);
    Ok(messenger.shutdown()?)
}
