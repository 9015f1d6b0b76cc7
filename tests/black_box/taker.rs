//! A handler that acks all it gets, and what it got: for tests that know exactly what must come.

use std::collections::BTreeMap;

use switchboard::grpc::proto::client::subscribe_response::Event;
use switchboard::grpc::proto::client::{Delivery, SettleCode};

use crate::gateway::Gateway;
use crate::steps::Hands;

/// What came, as (update id, attempt, whether replayed), by key in the order of its coming.
pub type Taken = BTreeMap<String, Vec<i64>>;

/// Takes and acks so many updates, one by one; the ids by key. Fails where a key has two out at once.
pub async fn take(hands: &mut Hands, count: usize) -> Taken {
    let mut taken = Taken::new();
    for delivery in deliveries(hands, count).await {
        let id = delivery.update.unwrap().update_id;
        taken.entry(delivery.ordering_key).or_default().push(id);
    }
    taken
}

/// The same with all of each delivery, in the order of their coming.
pub async fn deliveries(hands: &mut Hands, count: usize) -> Vec<Delivery> {
    let mut all = Vec::new();
    while all.len() < count {
        let Event::Deliveries(got) = hands.next().await.unwrap() else { continue };
        for delivery in &got.deliveries {
            let key = &delivery.ordering_key;
            let at_once = got.deliveries.iter().filter(|other| other.ordering_key == *key).count();
            assert_eq!(at_once, 1, "one of a key at a time: {got:#?}");
        }
        let acked = hands.ack(&got.deliveries).await;
        assert!(acked.iter().all(|code| *code == SettleCode::Applied), "{acked:?}");
        all.extend(got.deliveries);
    }
    assert_eq!(all.len(), count, "more came than was to come");
    all
}

/// How many deliveries this start of the gateway has made to the group.
pub async fn delivered(gateway: &Gateway, group: &str) -> f64 {
    gateway.metric("switchboard_deliveries_total{", &format!("group=\"{group}\"")).await
}
