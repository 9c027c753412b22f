//! Reads messages as a stream, and acknowledges each when it is done with it.
#![expect(clippy::print_stdout, reason = "an example may print")]

use futures_util::StreamExt;
use pubsub::Messenger;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let messenger = Messenger::open("data").await?;
    let orders = messenger.subscribe_stream("orders", "billing").await?;
    for id in 1..=3 {
        messenger.publish("orders", "com.acme.Order", &id).await?;
    }
    let mut first_three = orders.take(3);
    while let Some(order) = first_three.next().await {
        println!("order {} is {}", order.seq(), order.decode::<u64>()?);
        order.ack();
    }
    Ok(messenger.shutdown().await?)
}
