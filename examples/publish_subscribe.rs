//! Publishes an order, and handles it.

use pubsub::{Message, Messenger};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let messenger = Messenger::open("data").await?;
    let (billed, mut is_billed) = tokio::sync::mpsc::channel(1);
    let handler = move |order: Message| {
        let billed = billed.clone();
        async move {
            billed
                .send(format!("billed order {}", order.json().ok_or("not JSON")?["id"]))
                .await
                .map_err(|_| "nobody waits")
        }
    };
    messenger.subscribe("orders", "billing", handler).await?;
    messenger.publish("orders", "com.acme.Order", &serde_json::json!({"id": 7})).await?;
    println!("{}", is_billed.recv().await.ok_or("no bill")?);
    Ok(messenger.shutdown().await?)
}
