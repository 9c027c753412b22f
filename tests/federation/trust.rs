//! Certificates: exchanged, taken back, and not good in the first place.

use pubsub_testkit::certs::{Authority, Issued, Spec};

use crate::access::explain;
use crate::cable::Cable;
use crate::net::{Net, SOON, dial, settle, write};

#[tokio::test(flavor = "multi_thread")]
async fn certificates_exchanged_under_load_are_used_for_the_next_link_and_cut_none() {
    let net = Net::new();
    let cable = Cable::new().await;
    let mut hub = net.hub("hub", &["edge"]);
    let mut edge = net.edge("edge", &[cable.addr()]);
    hub.start();
    cable.lead_to(hub.addr());
    edge.start();
    edge.until_linked().await;
    let loads = [hub.load("orders").await, edge.load("orders").await];
    for node in [&mut hub, &mut edge] {
        net.ca.issue(&Spec::new(node.name())).unwrap();
        node.says("certificates were read again").await;
        let ends = node.audit().into_iter().filter(|it| it["event"] == "peer_disconnected");
        assert_eq!(ends.count(), 0, "{}", node.said());
    }
    for load in &loads {
        load.goes_on(100).await;
    }
    cable.pull();
    hub.audits("peer_disconnected", "edge").await;
    edge.until_linked().await;
    for load in loads {
        load.goes_on(50).await;
        load.end().await;
    }
    settle(&[&hub, &edge], "orders").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_is_revoked_cuts_the_living_link_and_lets_nobody_in_again() {
    let net = Net::new();
    let mut hub = net.hub("hub", &["edge"]);
    hub.start();
    let issued = net.ca.issue(&Spec::new("edge")).unwrap();
    let mut edge = net.node_with("edge", &issued);
    dial(&mut edge, &[hub.addr().to_string()]);
    edge.start();
    edge.until_linked().await;

    net.ca.revoke(&issued).unwrap();
    let cut = hub.audits("peer_revoked", "edge").await;
    assert!(cut["detail"].as_str().unwrap().contains("revoked"), "{cut}");
    hub.until_unlinked().await;
    let rejected = hub.audits("client_rejected", "revoked").await;
    assert!(hub.said().contains("a link is cut"), "{rejected}");
    edge.until("the reason", |links| {
        links.links[0].last_error.as_ref().is_some_and(|error| error.contains("revoked"))
    })
    .await;
    assert!(explain(&edge).contains("pubsub-keys issue"), "{}", explain(&edge));
}

/// Starts an edge with this certificate against a good hub, which must refuse it for this reason in log
/// and audit; gives what the edge is told.
async fn refused(issued: impl FnOnce(&Net) -> Issued, reason: &str) -> String {
    let net = Net::new();
    let mut hub = net.hub("hub", &["edge"]);
    hub.start();
    let mut edge = net.node_with("edge", &issued(&net));
    dial(&mut edge, &[hub.addr().to_string()]);
    edge.start();
    hub.audits("client_rejected", reason).await;
    assert!(hub.said().contains(reason), "{}", hub.said());
    edge.until("three failures", |links| links.links[0].failures > 2).await;
    explain(&edge)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_another_authority_is_refused_and_both_sides_say_why() {
    let foreign = |net: &Net| {
        let dir = net.work.path().join("foreign");
        std::fs::create_dir(&dir).unwrap();
        let foreign = Authority::new(&dir, "foreign").unwrap();
        let mut issued = foreign.issue(&Spec::new("edge")).unwrap();
        // The edge trusts both authorities, the hub only its own.
        let both = [net.ca.ca(), foreign.ca()].map(|ca| std::fs::read_to_string(ca).unwrap());
        issued.ca = dir.join("both.crt");
        write(&issued.ca, &both.concat());
        let lists = [net.ca.crl(), foreign.crl()].map(|it| std::fs::read_to_string(it).unwrap());
        issued.crl = dir.join("both.pem");
        write(&issued.crl, &lists.concat());
        issued
    };
    let told = refused(foreign, "CN=foreign").await;
    assert!(told.contains("pubsub-keys verify"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_certificate_is_refused_and_both_sides_say_why() {
    let told = refused(|net| net.ca.issue(&Spec::expired("edge")).unwrap(), "ended 2021").await;
    assert!(told.contains("pubsub-keys renew"), "{told}");
}

#[test]
fn a_certificate_that_is_of_no_use_for_links_refuses_the_start() {
    let net = Net::new();
    let mut node = net.node_with("edge", &net.ca.issue(&Spec::wrong_usage("edge")).unwrap());
    dial(&mut node, &["127.0.0.1:1".to_owned()]);
    let server = node.spawn();
    let status = server.wait_for_exit(SOON).unwrap();
    assert!(!status.success(), "{}", server.output());
    assert!(server.output().to_string().contains("codeSigning"), "{}", server.output());
}

#[test]
fn a_name_that_is_not_the_certificates_refuses_the_start() {
    let net = Net::new();
    let issued = net.ca.issue(&Spec::new("oslo")).unwrap();
    let mut node = net.node_with("berlin", &issued);
    dial(&mut node, &["127.0.0.1:1".to_owned()]);
    let server = node.spawn();
    let status = server.wait_for_exit(SOON).unwrap();
    let said = server.output().to_string();
    assert!(!status.success(), "{said}");
    for part in ["berlin", "oslo", "name"] {
        assert!(said.contains(part), "{part}: {said}");
    }
}
