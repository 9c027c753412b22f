//! A hub that lost its memory: what it had, and what becomes of what is published then.

use std::path::Path;

use crate::cable::Cable;
use crate::net::Net;
use crate::node::Node;

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else if entry.file_type().unwrap().is_file() {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// A hub that is reached by way of a cable, and two edges, all linked.
async fn three(net: &Net, cable: &Cable) -> [Node; 3] {
    let mut hub = net.hub("hub", &["berlin", "oslo"]);
    hub.start();
    cable.lead_to(hub.addr());
    let mut edges = ["berlin", "oslo"].map(|name| net.edge(name, &[cable.addr()]));
    edges.iter_mut().for_each(Node::start);
    hub.until_links(2).await;
    let [berlin, oslo] = edges;
    [hub, berlin, oslo]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_that_was_wiped_serves_what_is_published_from_then_on() {
    let net = Net::new();
    let cable = Cable::new().await;
    let [mut hub, berlin, oslo] = three(&net, &cable).await;
    berlin.publish("orders", &["old"]).await.unwrap();
    assert_eq!(oslo.texts("orders", 1).await, ["old"]);
    hub.stop();
    std::fs::remove_dir_all(hub.data_dir()).unwrap();
    hub.start();
    cable.lead_to(hub.addr());
    hub.until_links(2).await;
    berlin.publish("orders", &["new"]).await.unwrap();
    hub.publish("orders", &["newer"]).await.unwrap();
    for edge in [&berlin, &oslo] {
        let has = edge.texts("orders", 3).await;
        assert!(has.len() == 3 && has[0] == "old", "{has:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_restored_from_a_backup_gets_back_what_edges_sent_and_its_new_messages_arrive() {
    let net = Net::new();
    let cable = Cable::new().await;
    let [mut hub, berlin, oslo] = three(&net, &cable).await;
    hub.publish("orders", &["one"]).await.unwrap();
    berlin.texts("orders", 1).await;
    hub.stop();
    let backup = net.work.path().join("backup");
    copy(&hub.data_dir(), &backup);
    hub.start();
    cable.lead_to(hub.addr());
    hub.publish("orders", &["two", "three"]).await.unwrap();
    for edge in [&berlin, &oslo] {
        assert_eq!(edge.texts("orders", 3).await, ["one", "two", "three"]);
    }
    berlin.publish("orders", &["four"]).await.unwrap();
    hub.texts("orders", 4).await;
    oslo.texts("orders", 4).await;
    hub.stop();
    std::fs::remove_dir_all(hub.data_dir()).unwrap();
    copy(&backup, &hub.data_dir());
    hub.start();
    cable.lead_to(hub.addr());
    hub.publish("orders", &["five", "six", "seven", "eight"]).await.unwrap();
    let at_hub = hub.read("orders", |all| all.iter().any(|it| it.text == "four")).await;
    assert!(at_hub.iter().any(|it| it.text == "one"));
    for edge in [&berlin, &oslo] {
        let has = edge.texts("orders", 8).await;
        assert_eq!(has[4..], ["five", "six", "seven", "eight"], "{has:?}");
    }
}
