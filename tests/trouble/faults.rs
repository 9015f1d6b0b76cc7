//! Trouble on the way from Telegram, one kind after the other, while updates come in.

use std::collections::BTreeSet;

use serde_json::Value;
use switchboard::simulator::{Fault, FaultRule, Running, Source, Traffic};

use super::client::{All, Consumer, Seen, join};
use super::gateway::{BOT, Gateway, PATIENCE, get, telegram, webhook, webhook_at};

const FAULTS: [Fault; 6] = [
    Fault::Latency { ms: 300 },
    Fault::TooManyRequests { retry_after: 1 },
    Fault::ServerError,
    Fault::BadGateway,
    Fault::ReplyLost,
    Fault::Reset,
];

/// How many updates come in under each fault.
const EACH: u64 = 400;

/// Lets each fault strike so often while updates come in by this method, and the start's own calls before. Every update
/// that the simulator took must arrive once.
async fn through_all_faults(telegram: &Running, method: &str, strikes: u64, gateway: &mut Gateway) -> Seen {
    let seen = Seen::new();
    for name in ["one", "two"] {
        Consumer::join(gateway.grpc, join("orders", name)).await.work(&seen, |_| false);
    }
    for (fault, turn) in FAULTS.into_iter().zip(1..) {
        // Half of the calls, so that what fails is mixed with what does not.
        let rule = FaultRule { fault, method: Some(method.into()), probability: 0.5, count: Some(strikes) };
        telegram.add_faults(vec![rule]);
        let traffic = Traffic { rate: 400.0, total: Some(EACH), chats: 50, seed: turn, ..Traffic::default() };
        telegram.feed(BOT, Source::Generated(traffic));
        let settled = tokio::time::timeout(PATIENCE, telegram.settled(BOT)).await;
        assert!(settled.is_ok(), "{fault:?}: {:?} {}", telegram.counts(BOT), gateway.log());
        assert!(gateway.is_alive(), "{fault:?}: {}", gateway.log());
        let total = usize::try_from(turn * EACH).unwrap();
        seen.until(&format!("all came through {fault:?}"), |all| all.acked.len() == total).await;
    }
    let (_, faults) = get(telegram.addr(), "/simulator/faults").await;
    let faults: Value = serde_json::from_str(&faults).unwrap();
    let struck = faults.as_array().unwrap().iter().filter(|fault| fault["struck"].as_u64() > Some(0)).count();
    assert!(struck >= FAULTS.len(), "not all have struck: {faults}");

    let accepted: BTreeSet<i64> = telegram.confirmed_ids(BOT).into_iter().collect();
    let counts = telegram.counts(BOT);
    assert_eq!((counts.accepted, counts.pending(), counts.expired), (accepted.len() as u64, 0, 0));
    seen.look(|all| {
        assert!(all.acked.keys().eq(&accepted), "not what the simulator took");
        assert!(all.acked.values().all(|times| *times == 1), "something was handled twice");
        assert_eq!((all.in_vain, all.max_attempt), (0, 1));
    });
    assert_eq!(gateway.metric("switchboard_updates_stored_total", &[]).await, counts.accepted as f64);
    seen
}

fn at_the_start(telegram: &Running) {
    for fault in [Fault::BadGateway, Fault::Reset] {
        telegram.add_faults(vec![FaultRule { fault, method: None, probability: 1.0, count: Some(1) }]);
    }
}

#[tokio::test]
async fn p8_every_update_comes_once_through_every_fault_of_polling() {
    let (telegram, data) = (telegram().await, tempfile::tempdir().unwrap());
    at_the_start(&telegram);
    let mut gateway = Gateway::start(&telegram, data.path(), &[]).await;
    let seen = through_all_faults(&telegram, "getUpdates", 2, &mut gateway).await;
    seen.look(All::assert_in_order);
    for outcome in ["too_many_requests", "server_error", "unreachable"] {
        let labels = ["method=\"getUpdates\"", &format!("outcome=\"{outcome}\"")];
        assert!(gateway.metric("switchboard_telegram_calls_total", &labels).await >= 1.0, "{outcome}");
    }
    gateway.stop().await;
}

#[tokio::test]
async fn p8_every_update_comes_once_through_every_fault_of_the_webhook() {
    let (telegram, data) = (telegram().await, tempfile::tempdir().unwrap());
    at_the_start(&telegram);
    let (listen, url) = webhook_at();
    let mut gateway = Gateway::start(&telegram, data.path(), &webhook(&listen, &url)).await;
    through_all_faults(&telegram, "webhook", 20, &mut gateway).await;
    let duplicates = gateway.metric("switchboard_updates_duplicate_total", &[]).await;
    assert!(duplicates >= 1.0, "what was sent again after a lost reply was not recognised");
    gateway.stop().await;
}
