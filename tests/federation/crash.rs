//! `kill -9` of any node under load: what was acknowledged is on every node, once.

use crate::cable::Cable;
use crate::net::{Net, settle};

#[tokio::test(flavor = "multi_thread")]
async fn hub_and_edges_killed_in_turn_under_load_have_every_acknowledged_message_once() {
    let net = Net::new();
    let cable = Cable::new().await;
    let hub = net.hub("hub", &["berlin", "oslo"]);
    let edge = |name| net.edge(name, &[cable.addr()]);
    let mut nodes = [hub, edge("berlin"), edge("oslo")];
    let mut loads = Vec::new();
    for node in &mut nodes {
        node.start();
    }
    cable.lead_to(nodes[0].addr());
    nodes[0].until_links(2).await;
    for node in &nodes {
        loads.push(node.load("orders").await);
    }
    let mut acked: [Vec<String>; 3] = Default::default();
    for killed in [0, 1, 2, 0, 1] {
        for load in &loads {
            load.goes_on(150).await;
        }
        nodes[killed].kill();
        let load = loads.remove(killed);
        acked[killed].extend(load.end().await);
        nodes[killed].start();
        if killed == 0 {
            cable.lead_to(nodes[0].addr());
        }
        loads.insert(killed, nodes[killed].load("orders").await);
    }
    for (load, acked) in loads.into_iter().zip(&mut acked) {
        load.goes_on(150).await;
        acked.extend(load.end().await);
    }
    let [hub, berlin, oslo] = &nodes;
    let all = settle(&[hub, berlin, oslo], "orders").await;
    for (node, acked) in nodes.iter().zip(&acked) {
        let mut has = all[node.name()].iter();
        let missing: Vec<_> = acked.iter().filter(|text| !has.any(|it| it == *text)).collect();
        assert!(missing.is_empty(), "{} lost, or not in order: {missing:?}", node.name());
    }
}
