//! What is too much, and what is kept for whom.

use pubsub_node::control::{Request, Response};
use serde_json::json;

use crate::access::explain;
use crate::cable::Cable;
use crate::net::{Net, dial, settle};
use crate::node::{Node, PAUSE, pause};

#[tokio::test(flavor = "multi_thread")]
async fn a_message_larger_than_the_peer_takes_is_held_reported_and_sent_once_the_limit_is_raised() {
    let net = Net::new();
    let cable = Cable::new().await;
    let mut hub = net.hub("hub", &["edge"]);
    hub.config["storage"]["max_record_bytes"] = json!("2KiB");
    hub.start();
    cable.lead_to(hub.addr());
    let mut edge = net.edge("edge", &[cable.addr()]);
    edge.start();
    edge.until_linked().await;
    let large = "x".repeat(10_000);
    edge.publish("orders", &["before", &large, "after"]).await.unwrap();
    edge.publish("metrics", &["flows"]).await.unwrap();
    assert_eq!(hub.texts("orders", 1).await, ["before"]);
    assert_eq!(hub.texts("metrics", 1).await, ["flows"], "other channels do not wait");
    edge.until("holding", |links| links.links[0].sending.iter().any(|flow| flow.held)).await;
    edge.says("a message is larger than the peer takes").await;
    let explained = explain(&edge);
    assert!(explained.contains("orders waits at message 2"), "{explained}");
    assert_eq!(hub.texts("orders", 1).await, ["before"], "what is behind it waits, too");

    hub.stop();
    hub.config["storage"]["max_record_bytes"] = json!("1MiB");
    hub.start();
    cable.lead_to(hub.addr());
    assert_eq!(hub.texts("orders", 3).await, ["before", &large, "after"]);
    settle(&[&hub, &edge], "orders").await;
}

/// For whom positions are kept.
async fn kept(node: &Node) -> Vec<String> {
    let subscribers = Request::SubscriberList { channel: None };
    match node.ask(subscribers).await {
        Response::Subscribers { subscribers } => {
            subscribers.into_iter().map(|row| row.id.to_string()).collect()
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_kept_for_hubs_that_are_no_longer_configured() {
    let net = Net::new();
    let nowhere = [Cable::new().await, Cable::new().await];
    let ways: Vec<String> = nowhere.iter().map(Cable::addr).collect();
    let mut edge = net.edge("edge", &ways);
    edge.start();
    edge.publish("orders", &["one"]).await.unwrap();
    let ids: Vec<String> = ways.iter().map(|addr| format!("link:{addr}")).collect();
    let is_kept = async |edge: &Node, wanted: &[String]| {
        let mut wanted = wanted.to_vec();
        wanted.sort();
        let waiting = async {
            let mut pause = pause(PAUSE);
            while kept(edge).await != wanted {
                pause.tick().await;
            }
        };
        let in_time = tokio::time::timeout(crate::net::SOON, waiting).await;
        assert!(in_time.is_ok(), "kept: {:?}, wanted: {wanted:?}", kept(edge).await);
    };
    is_kept(&edge, &ids).await;
    edge.stop();
    dial(&mut edge, &ways[..1]);
    edge.start();
    is_kept(&edge, &ids[..1]).await;
    edge.stop();
    // No links at all.
    edge.config["client"]["enabled"] = json!(false);
    edge.start();
    is_kept(&edge, &[]).await;
}
