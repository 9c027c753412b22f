//! A cable that goes silent without anybody being told.

use serde_json::json;

use crate::cable::Cable;
use crate::net::{Net, settle};

#[tokio::test(flavor = "multi_thread")]
async fn a_cable_cut_for_longer_than_three_heartbeats_is_noticed_at_both_ends_and_nothing_is_lost()
{
    let net = Net::new();
    let cable = Cable::new().await;
    let mut hub = net.hub("hub", &["edge"]);
    let mut edge = net.edge("edge", &[cable.addr()]);
    for node in [&mut hub, &mut edge] {
        node.config["federation"]["heartbeat_ms"] = json!(150);
        node.start();
    }
    cable.lead_to(hub.addr());
    edge.until_linked().await;
    let loads = [hub.load("orders").await, edge.load("orders").await];
    for load in &loads {
        load.goes_on(300).await;
    }
    cable.cut();
    edge.until_unlinked().await;
    hub.until_unlinked().await;
    for (node, peer) in [(&hub, "edge"), (&edge, "hub")] {
        let ended = node.audits("peer_disconnected", peer).await;
        assert!(ended["detail"].as_str().unwrap().contains("silent"), "{ended}");
    }
    for load in &loads {
        load.goes_on(300).await;
    }
    cable.mend();
    edge.until_linked().await;
    for load in loads {
        load.goes_on(100).await;
        load.end().await;
    }
    let all = settle(&[&hub, &edge], "orders").await;
    assert!(all["hub"].len() > 700 && all["edge"].len() > 700);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cable_pulled_out_again_and_again_under_load_loses_and_repeats_nothing() {
    let net = Net::new();
    let cable = Cable::new().await;
    let mut hub = net.hub("hub", &["edge"]);
    let mut edge = net.edge("edge", &[cable.addr()]);
    hub.start();
    cable.lead_to(hub.addr());
    edge.start();
    edge.until_linked().await;
    let loads = [hub.load("orders").await, edge.load("orders").await];
    for _ in 0..5 {
        edge.until_linked().await;
        for load in &loads {
            load.goes_on(100).await;
        }
        cable.pull();
        edge.until("the end of the link", |links| links.links[0].reconnects > 0).await;
    }
    for load in loads {
        load.end().await;
    }
    settle(&[&hub, &edge], "orders").await;
}
