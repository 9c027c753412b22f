//! Who is let in, and what becomes of those who are not.

use pubsub_testkit::binary;
use pubsub_types::Timestamp;
use serde_json::{Value, json};

use crate::net::{Net, SOON, settle, write};
use crate::node::Node;

/// What `pubsub link explain` says of the hub that a node dials.
pub(crate) fn explain(node: &Node) -> String {
    let addr = node.config["client"]["hubs"][0]["addr"].as_str().unwrap().to_owned();
    let mut command = std::process::Command::new(binary("pubsub").unwrap());
    command.args(["link", "explain", &addr, "--data-dir"]).arg(node.data_dir());
    let mut process = pubsub_testkit::Process::spawn(&mut command).unwrap();
    let status = process.wait_for_exit(SOON).unwrap();
    assert!(status.success(), "{}", process.output());
    process.output().stdout.join("\n")
}

fn millis(line: &Value) -> i64 {
    let time: Timestamp = line["ts"].as_str().unwrap().parse().unwrap();
    time.as_nanos() / 1_000_000
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_is_not_allowed_backs_off_is_told_why_and_gets_in_once_it_is_allowed() {
    let net = Net::new();
    let mut hub = net.hub("hub", &[]);
    hub.start();
    let mut edge = net.edge("edge", &[hub.addr().to_string()]);
    edge.config["federation"] =
        json!({"reconnect_base_ms": 20, "reconnect_max_ms": 1000, "reconnect_jitter": 0});
    edge.start();
    edge.publish("orders", &["waits"]).await.unwrap();
    edge.until("five failures", |links| links.links[0].failures >= 5).await;

    let rejected = hub.audits("client_rejected", "edge").await;
    assert!(rejected["detail"].as_str().unwrap().contains("not in allowlist"), "{rejected}");
    assert!(hub.said().contains("a connection was refused"), "{}", hub.said());
    let explained = explain(&edge);
    for part in ["not in allowlist", "add {name: edge} to hub.allowed_peers"] {
        assert!(explained.contains(part), "{explained}");
    }
    let failures: Vec<i64> =
        edge.audit().iter().filter(|it| it["event"] == "peer_connected").map(millis).collect();
    for (nth, pair) in failures.windows(2).take(5).enumerate() {
        let waited = pair[1] - pair[0];
        assert!(waited >= 20 << nth, "after failure {}: {waited} ms", nth + 1);
    }

    hub.config["hub"]["allowed_peers"] = json!([{"name": "edge"}]);
    hub.write_config();
    hub.audits("policy_reloaded", "added edge").await;
    assert_eq!(hub.texts("orders", 1).await, ["waits"]);
    settle(&[&hub, &edge], "orders").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_allowlist_edited_under_load_cuts_who_is_removed_and_a_bad_one_changes_nothing() {
    let net = Net::new();
    let mut hub = net.hub("hub", &["berlin", "oslo"]);
    hub.start();
    let mut edges = ["berlin", "oslo"].map(|name| net.edge(name, &[hub.addr().to_string()]));
    let mut loads = Vec::new();
    for edge in &mut edges {
        edge.start();
    }
    hub.until_links(2).await;
    for edge in &edges {
        loads.push(edge.load("orders").await);
    }
    let [berlin, oslo] = &edges;

    hub.config["hub"]["allowed_peers"] = json!([{"name": "berlin"}]);
    hub.write_config();
    hub.audits("peer_revoked", "oslo").await;
    hub.until("one link", |links| links.links.iter().all(|it| it.peer != "oslo")).await;
    hub.audits("client_rejected", "oslo").await;
    let reloaded = hub.audits("policy_reloaded", "removed oslo").await;
    oslo.publish("orders", &["kept"]).await.unwrap();

    write(&hub.home().join("pubsub.yaml"), "hub: {enabled: maybe}\n");
    hub.audits("policy_reload_failed", "maybe").await;
    berlin.publish("orders", &["goes on"]).await.unwrap();
    let at_hub = hub.read("orders", |all| all.iter().any(|it| it.text == "goes on")).await;
    assert!(at_hub.iter().all(|it| it.text != "kept"), "oslo is still in: {reloaded}");

    hub.config["hub"]["allowed_peers"] = json!([{"name": "berlin"}, {"name": "oslo"}]);
    hub.write_config();
    hub.audits("policy_reloaded", "added oslo").await;
    for load in loads {
        load.goes_on(50).await;
        load.end().await;
    }
    settle(&[&hub, berlin, oslo], "orders").await;
    let cut = berlin.audit().into_iter().filter(|it| it["event"] == "peer_disconnected");
    assert_eq!(cut.count(), 0, "the other link was not disturbed");
}
