//! Publishes an order, and handles it.
#![expect(clippy::print_stdout, reason = "an example may print")]

use pubsub::{Message, Messenger};
use tokio::sync::mpsc;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let messenger = Messenger::open("data").await?;
    let (bills, mut billed) = mpsc::unbounded_channel();
    let bill = move |order: Message| {
        // An error is tried again; what fails for good is kept in `orders.dead-letter`.
        let id = order.decode::<serde_json::Value>().map(|order| order["id"].clone());
        let sent = id.map(|id| bills.send(id));
        async move { sent.map(drop) }
    };
    messenger.subscribe("orders", "billing", bill).await?;
    messenger.publish("orders", "com.acme.Order", &serde_json::json!({"id": 7})).await?;
    println!("billed order {}", billed.recv().await.ok_or("no bill")?);
    Ok(messenger.shutdown().await?)
}
