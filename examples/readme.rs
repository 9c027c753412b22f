//! What README.md shows. `tests/documents` keeps the two the same.
#![expect(clippy::print_stdout, reason = "an example may print")]

use pubsub::{Message, Messenger};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let messenger = Messenger::open("data").await?;
    let bill = |order: Message| async move {
        println!("{}", order.json().ok_or("not JSON")?["id"]);
        Ok::<(), &str>(())
    };
    messenger.subscribe("orders", "billing", bill).await?;
    messenger.publish("orders", "com.acme.Order", &serde_json::json!({"id": 7})).await?;
    Ok(messenger.shutdown().await?)
}
