//! Correlation id and service name go with the messages, from the context that holds where they are
//! published.

#[path = "../common/mod.rs"]
mod common;

use common::{inbox, open};
use pubsub::{Context, ContextExt, Messenger, Outgoing, current_context};
use tempfile::tempdir;

fn corr(id: &str) -> Context {
    Context::new().with_correlation_id(id)
}

#[tokio::test]
async fn messages_carry_what_the_scope_or_the_publish_says_and_nothing_when_nobody_says() {
    let dir = tempdir().unwrap();
    let messenger = open(dir.path()).await;
    let (inbox, mut seen) = inbox();
    messenger.subscribe("orders", "billing", inbox.ok()).await.unwrap();
    let publish = || async { messenger.publish("orders", "", &1).await.unwrap() };
    let scope = corr("corr-1").with_service_name("shop");

    publish().await;
    scope.clone().scope(publish()).await;
    corr("").with_service_name("shop").scope(publish()).await;
    let inner = corr("corr-2");
    scope
        .clone()
        .scope(async { messenger.publish("orders", "", &1).context(&inner).await.unwrap() })
        .await;
    let batch = [Outgoing::new("", &1), Outgoing::new("", &2).context(&inner)];
    scope.clone().scope(messenger.publish_batch("orders", batch)).await.unwrap();

    let mut stamps = Vec::new();
    for _ in 0..6 {
        let message = seen.next().await;
        stamps.push((message.correlation_id().to_owned(), message.service_name().to_owned()));
    }
    let stamp = |id: &str, name: &str| (id.to_owned(), name.to_owned());
    assert_eq!(
        stamps,
        [
            stamp("", ""),
            stamp("corr-1", "shop"),
            stamp("", "shop"),
            stamp("corr-2", "shop"),
            stamp("corr-1", "shop"),
            stamp("corr-2", "shop"),
        ]
    );
    messenger.shutdown().await.unwrap();
}

#[tokio::test]
async fn what_a_handler_publishes_carries_the_correlation_id_of_its_message() {
    let dir = tempdir().unwrap();
    let messenger =
        Messenger::builder().data_dir(dir.path()).service_name("billing").open().await.unwrap();
    let (inbox, mut seen) = inbox();
    messenger.subscribe("invoices", "mail", inbox.ok()).await.unwrap();
    let replies = messenger.clone();
    let handler = move |message: pubsub::Message| {
        let replies = replies.clone();
        // Also in what runs before the first await.
        let early = current_context();
        async move {
            assert_eq!(early.correlation_id(), message.correlation_id());
            replies.publish("invoices", "", &1).await.map(drop)
        }
    };
    // The publisher's service is not the handler's.
    messenger.subscribe("orders", "billing", handler).await.unwrap();
    for context in [corr("corr-1").with_service_name("shop"), Context::new()] {
        messenger.publish("orders", "", &1).context(&context).await.unwrap();
    }
    let first = seen.next().await;
    assert_eq!((first.correlation_id(), first.service_name()), ("corr-1", "billing"));
    let second = seen.next().await;
    assert_eq!((second.correlation_id(), second.service_name()), ("", "billing"));
    messenger.shutdown().await.unwrap();
}
