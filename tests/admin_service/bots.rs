//! ListBots, GetBot, and bots that requests name.

use std::sync::{Arc, Mutex};

use switchboard::driver::{IntakeState, PauseReason};
use switchboard::grpc::proto::client::admin_service_client::AdminServiceClient;
use switchboard::grpc::proto::client::{
    GetBotRequest, IntakeMode, ListBotsRequest, ListGroupsRequest, ListUpdatesRequest,
};
use switchboard::inspect::{Connection, ConnectionMode, Webhook};
use switchboard::journal::{Journal, lmdb};
use switchboard::model::UnixMillis;
use tonic::Code;

use super::rig::{BEGAN_MS, Rig, World, listen, play, view};
use super::{metadata, reason, refused_for};

#[tokio::test]
async fn a_bot_shows_its_connection_and_what_its_journal_holds() {
    let directory = tempfile::tempdir().unwrap();
    let journal =
        lmdb::open(&directory.path().join("journal"), 1, &lmdb::Options::with_max_bytes(64 << 20)).unwrap();
    let world = Arc::new(Mutex::new(World { groups: vec![view(1, "orders")], ..World::default() }));
    let (mut bot, intake) = play("shop", journal.reader(), &world);
    bot.inspector = bot.inspector.with_connection(|| Connection {
        username: Some("shop_bot".into()),
        mode: Some(ConnectionMode::Webhook),
        connected_since: Some(UnixMillis(1_500)),
        pending: Some(3),
        webhook: Some(Webhook {
            url: "https://example.org/telegram/webhook/shop".into(),
            last_error_message: "Connection refused".into(),
            max_connections: 40,
            ..Webhook::default()
        }),
        allowed_updates: vec!["message".into()],
        ..Connection::default()
    });
    intake.send_replace(IntakeState::Paused { reason: PauseReason::JournalFull, since: UnixMillis(2_000) });
    let mut client = AdminServiceClient::new(listen(vec![bot]).await);
    let bot = client.get_bot(GetBotRequest::default()).await.unwrap().into_inner().bot.unwrap();
    assert_eq!(
        (bot.name.as_str(), bot.username.as_str(), bot.mode()),
        ("shop", "shop_bot", IntakeMode::Webhook)
    );
    assert_eq!(bot.connected_time.unwrap().to_string(), "1970-01-01T00:00:01.500Z");
    assert_eq!((bot.pending_at_telegram, bot.group_count, bot.last_update_time), (Some(3), 1, None));
    let webhook = bot.webhook.unwrap();
    assert_eq!((webhook.max_connections, webhook.last_error_message.as_str()), (40, "Connection refused"));
    assert_eq!(bot.allowed_updates, ["message"]);
    let pause = bot.intake_pause.unwrap();
    let why = "reached the bot's journal.max_bytes, less the reserve that is kept back for settlements";
    assert!(pause.reason.contains(why) && pause.start_time.unwrap().seconds == 2, "{}", pause.reason);
    let journal = bot.journal.unwrap();
    assert_eq!((journal.first_sequence, journal.last_sequence, journal.update_count), (0, 0, 0));
    assert_eq!(journal.max_bytes, 64 << 20);
    assert_eq!(journal.retention_max_age.unwrap().seconds, 3_600);
}

#[tokio::test]
async fn a_journal_is_counted() {
    let mut rig = Rig::with_updates(Vec::new(), 5).await;
    let bot = rig.client.get_bot(GetBotRequest { bot: "default".into() }).await.unwrap().into_inner().bot;
    let journal = bot.unwrap().journal.unwrap();
    assert_eq!((journal.first_sequence, journal.last_sequence, journal.update_count), (1, 5, 5));
    assert!(journal.used_bytes > 0);
    assert_eq!(journal.oldest_time.unwrap().seconds, i64::try_from(BEGAN_MS / 1_000).unwrap() + 1);
}

#[tokio::test]
async fn bots_are_listed_by_name_in_pages_and_must_be_named() {
    let directory = tempfile::tempdir().unwrap();
    let world = Arc::new(Mutex::new(World { groups: vec![view(1, "orders")], ..World::default() }));
    let bots = ["support", "audit", "shop"].map(|name| {
        let options = lmdb::Options::with_max_bytes(64 << 20);
        let journal = lmdb::open(&directory.path().join(name), 1, &options).unwrap();
        play(name, journal.reader(), &world).0
    });
    let mut client = AdminServiceClient::new(listen(bots.into()).await);
    let mut names = Vec::new();
    let mut request = ListBotsRequest { page_size: 2, ..ListBotsRequest::default() };
    loop {
        let page = client.list_bots(request.clone()).await.unwrap().into_inner();
        names.push(page.bots.into_iter().map(|bot| bot.name).collect::<Vec<_>>());
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            break;
        }
    }
    assert_eq!(names, [vec!["audit", "shop"], vec!["support"]]);
    refused_for("page_size", client.list_bots(ListBotsRequest { page_size: -1, ..request.clone() }).await);
    let foreign = ListBotsRequest { page_token: "x".into(), ..request };
    refused_for("page_token", client.list_bots(foreign).await);

    // Groups of all bots, where none is named.
    let groups = client.list_groups(ListGroupsRequest::default()).await.unwrap().into_inner().groups;
    let of: Vec<_> = groups.into_iter().map(|group| group.bot).collect();
    assert_eq!(of, ["audit", "shop", "support"]);

    refused_for("bot", client.get_bot(GetBotRequest::default()).await);
    refused_for("bot", client.list_updates(ListUpdatesRequest::default()).await);
    let unknown = client.get_bot(GetBotRequest { bot: "shpo".into() }).await.unwrap_err();
    assert_eq!(reason(&unknown, Code::NotFound), "BOT_NOT_FOUND");
    assert!(unknown.message().contains("did you mean `shop`?"), "{}", unknown.message());
    assert_eq!(metadata(&unknown, "nearest").as_deref(), Some("shop"));
}
