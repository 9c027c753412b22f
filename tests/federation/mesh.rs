//! More than one way from node to node: each message is there once all the same.

use crate::net::{Net, dial, settle};

#[tokio::test(flavor = "multi_thread")]
async fn two_links_between_the_same_two_nodes_deliver_every_message_once() {
    let net = Net::new();
    let mut hub = net.hub("hub", &["edge"]);
    hub.start();
    let port = hub.addr().port();
    let ways = [format!("127.0.0.1:{port}"), format!("localhost:{port}")];
    let mut edge = net.edge("edge", &ways);
    edge.start();
    hub.until_links(2).await;
    let loads = [hub.load("orders").await, edge.load("orders").await];
    for load in &loads {
        load.goes_on(500).await;
    }
    for load in loads {
        load.end().await;
    }
    let all = settle(&[&hub, &edge], "orders").await;
    assert!(all["edge"].len() > 500 && all["hub"].len() > 500);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_diamond_delivers_every_message_once() {
    let net = Net::new();
    let mut top = net.hub("top", &["left", "right"]);
    top.start();
    let mut sides = ["left", "right"].map(|name| {
        let mut side = net.hub(name, &["bottom"]);
        dial(&mut side, &[top.addr().to_string()]);
        side.start();
        side
    });
    let ways: Vec<String> = sides.iter().map(|side| side.addr().to_string()).collect();
    let mut bottom = net.edge("bottom", &ways);
    bottom.start();
    bottom.until_links(2).await;
    top.until_links(2).await;

    let [left, right] = &mut sides;
    let nodes = [&top, &*left, &*right, &bottom];
    let mut loads = Vec::new();
    for node in nodes {
        loads.push(node.load("orders").await);
    }
    for load in &loads {
        load.goes_on(300).await;
    }
    for load in loads {
        load.end().await;
    }
    let all = settle(&nodes, "orders").await;
    assert!(all.values().all(|texts| texts.len() > 300), "all of them have published");
}
