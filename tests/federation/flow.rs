//! What flows over links, and to whom.

use serde_json::json;

use crate::cable::Cable;
use crate::net::{Net, settle};
use crate::node::Message;

#[tokio::test(flavor = "multi_thread")]
async fn an_edge_starts_without_its_hub_and_what_it_published_meanwhile_arrives_later() {
    let net = Net::new();
    let cable = Cable::new().await;
    let mut edge = net.edge("edge", &[cable.addr()]);
    edge.start();
    let texts: Vec<String> = (0..300).map(|nth| format!("order {nth}")).collect();
    for text in &texts {
        edge.publish("orders", &[text]).await.unwrap();
    }
    edge.until("a failure", |links| links.links[0].failures > 0).await;

    let mut hub = net.hub("hub", &["edge"]);
    hub.start();
    cable.lead_to(hub.addr());
    assert_eq!(hub.texts("orders", 300).await, texts);
    let all = settle(&[&hub, &edge], "orders").await;
    assert_eq!(all["edge"].len(), 301, "once each");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_edge_publishes_reaches_the_other_through_the_hub_with_its_origin_and_its_route() {
    let net = Net::new();
    let mut hub = net.hub("hub", &["berlin", "oslo"]);
    hub.start();
    let mut berlin = net.edge("berlin", &[hub.addr().to_string()]);
    let mut oslo = net.edge("oslo", &[hub.addr().to_string()]);
    berlin.start();
    oslo.start();
    hub.until_links(2).await;
    berlin.publish("orders", &["seven"]).await.unwrap();
    let wanted = |route: &[&str]| Message {
        origin: "berlin".to_owned(),
        route: route.iter().map(|name| (*name).to_owned()).collect(),
        text: "seven".to_owned(),
    };
    assert_eq!(hub.read("orders", |all| !all.is_empty()).await, [wanted(&["berlin", "hub"])]);
    let at_oslo = oslo.read("orders", |all| !all.is_empty()).await;
    assert_eq!(at_oslo, [wanted(&["berlin", "hub", "oslo"])]);
    settle(&[&hub, &berlin, &oslo], "orders").await;
    let forwarded = oslo.audits("forward", "inbound").await;
    assert_eq!((&forwarded["peer"], &forwarded["channel"]), (&json!("hub"), &json!("orders")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_gets_what_it_asks_for_and_may_have_and_sends_what_it_may_and_nothing_else() {
    let net = Net::new();
    let mut hub = net.hub("hub", &[]);
    hub.config["hub"]["allowed_peers"] = json!([
        {"name": "narrow", "subscribe": ["orders.>"], "publish": ["metrics"]},
        {"name": "wide"},
    ]);
    hub.start();
    let mut narrow = net.edge("narrow", &[hub.addr().to_string()]);
    let mut wide = net.edge("wide", &[hub.addr().to_string()]);
    wide.config["client"]["hubs"][0]["subscribe"] = json!(["metrics", "secrets"]);
    narrow.start();
    wide.start();
    hub.until_links(2).await;
    wide.publish("orders.eu", &["to all"]).await.unwrap();
    wide.publish("secrets", &["to the hub"]).await.unwrap();
    narrow.publish("secrets", &["to nobody"]).await.unwrap();
    narrow.publish("metrics", &["up"]).await.unwrap();

    assert_eq!(narrow.texts("orders.eu", 1).await, ["to all"]);
    assert_eq!(wide.texts("metrics", 1).await, ["up"]);
    // What was published before them did not pass them by.
    assert_eq!(hub.texts("secrets", 1).await, ["to the hub"]);
    assert_eq!(narrow.texts("secrets", 1).await, ["to nobody"]);
    hub.audits("client_connected", "narrow").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_made_just_before_a_link_comes_up_is_sent_from_its_first_message() {
    let net = Net::new();
    let cable = Cable::new().await;
    let mut hub = net.hub("hub", &["edge"]);
    hub.start();
    cable.lead_to(hub.addr());
    let mut edge = net.edge("edge", &[cable.addr()]);
    edge.start();
    edge.until_linked().await;
    for round in 0..12 {
        let channel = format!("orders.{round}");
        edge.publish(&channel, &["first"]).await.unwrap();
        cable.pull();
        assert_eq!(hub.texts(&channel, 1).await, ["first"], "round {round}");
    }
}
