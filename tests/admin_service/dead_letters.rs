//! ListDeadLetters and PurgeDeadLetters.

use switchboard::grpc::proto::client::{
    DeadLetterCause, FailureKind, ListDeadLettersRequest, PurgeDeadLettersRequest, Selection, View,
};
use switchboard::model::{
    self, AttemptRecord, Batch, DeadLetter, FailureRecord, GroupId, GroupView, Sequence, SettledAs,
    UnixMillis,
};
use tonic::Code;

use super::rig::{Rig, view};
use super::{FUTURE, reason, refused_for};

/// A dead letter with twelve failures.
pub fn letter(settled: SettledAs) -> DeadLetter {
    let failed = |attempt| FailureRecord {
        kind: model::FailureKind::Nacked,
        reason: format!("error {attempt}").into(),
        time: UnixMillis(1_000 * u64::from(attempt)),
        attempt,
        consumer: "pod-1".into(),
    };
    let attempts = AttemptRecord {
        attempt: 13,
        failures: 12,
        losses: 0,
        first_delivered: UnixMillis(900),
        first_failed: UnixMillis(1_000),
        not_before: UnixMillis(0),
        history: (1..=12).map(failed).collect(),
    };
    DeadLetter { time: UnixMillis(99_000), settled, attempts }
}

/// Updates 1 to 8, of which these are dead letters of these groups.
pub async fn rig(letters: &[(u32, u64)]) -> Rig {
    let named = |(id, name)| GroupView {
        dead_letters: letters.iter().filter(|(group, _)| *group == id).count() as u64,
        ..view(id, name)
    };
    let mut rig = Rig::with_updates([(1, "audit"), (2, "orders"), (3, "quiet")].map(named).into(), 8).await;
    let dead = |(group, sequence): &(u32, u64)| {
        (GroupId(*group), Sequence(*sequence), letter(SettledAs::DeadLettered))
    };
    let settled =
        |(group, sequence): &(u32, u64)| (GroupId(*group), Sequence(*sequence), SettledAs::DeadLettered);
    rig.commit(Batch {
        dead_letters: letters.iter().map(dead).collect(),
        settled: letters.iter().map(settled).collect(),
        ..Batch::default()
    });
    rig
}

#[tokio::test]
async fn dead_letters_are_listed_by_group_newest_first_in_pages() {
    let mut rig = rig(&[(1, 2), (1, 5), (2, 3), (2, 6), (2, 8)]).await;
    // They are kept after their updates were trimmed.
    rig.commit(Batch { trimmed: (1..=8).map(Sequence).collect(), ..Batch::default() });
    for size in [1, 2, 3, 5] {
        let mut request = ListDeadLettersRequest { page_size: size, ..ListDeadLettersRequest::default() };
        let mut listed = Vec::new();
        loop {
            let page = rig.client.list_dead_letters(request.clone()).await.unwrap().into_inner();
            assert!(page.dead_letters.len() <= usize::try_from(size).unwrap());
            listed.extend(
                page.dead_letters.into_iter().map(|dead| (dead.group, dead.update.unwrap().sequence)),
            );
            request.page_token = page.next_page_token;
            if request.page_token.is_empty() {
                break;
            }
        }
        let expected = [("audit", 5), ("audit", 2), ("orders", 8), ("orders", 6), ("orders", 3)];
        assert_eq!(listed, expected.map(|(group, sequence)| (group.to_owned(), sequence)));
    }
}

#[tokio::test]
async fn a_dead_letter_shows_why_it_is_one() {
    let mut rig = rig(&[(2, 3), (2, 6)]).await;
    let request = ListDeadLettersRequest {
        group: "orders".into(),
        selection: Some(Selection { chat_id: Some(43), ..Selection::default() }),
        view: View::Full.into(),
        ..ListDeadLettersRequest::default()
    };
    let listed = rig.client.list_dead_letters(request).await.unwrap().into_inner().dead_letters;
    let [dead] = &listed[..] else { panic!("{listed:?}") };
    assert_eq!((dead.cause(), dead.attempts, dead.failures), (DeadLetterCause::Failed, 13, 12));
    let reasons: Vec<_> =
        dead.history.iter().map(|failed| failed.failure.as_ref().unwrap().reason.as_str()).collect();
    assert_eq!((reasons.len(), reasons[0], reasons[9]), (10, "error 3", "error 12"));
    assert_eq!(dead.history[9].failure.as_ref().unwrap().kind(), FailureKind::Nacked);
    let stored = dead.update.as_ref().unwrap();
    assert_eq!((stored.sequence, stored.ordering_key.as_str()), (3, "chat:43"));
    assert_eq!(stored.update.as_ref().unwrap().json, r#"{"text":"number 3"}"#);
}

#[tokio::test]
async fn dead_letters_are_purged_as_selected_and_never_all_by_mistake() {
    let mut rig = rig(&[(2, 3), (2, 6), (2, 7)]).await;
    let purge = |selection| PurgeDeadLettersRequest {
        group: "orders".into(),
        selection,
        ..PurgeDeadLettersRequest::default()
    };
    refused_for("selection", rig.client.purge_dead_letters(purge(None)).await);
    refused_for("selection", rig.client.purge_dead_letters(purge(Some(Selection::default()))).await);
    let all = Some(Selection { all: true, ..Selection::default() });
    let dry = PurgeDeadLettersRequest { dry_run: true, ..purge(all.clone()) };
    assert_eq!(rig.client.purge_dead_letters(dry).await.unwrap().into_inner().purged, 3);
    assert_eq!(rig.told(), Vec::<String>::new());
    let chat = Some(Selection { chat_id: Some(43), ..Selection::default() });
    assert_eq!(rig.client.purge_dead_letters(purge(chat)).await.unwrap().into_inner().purged, 2);
    assert_eq!(rig.told(), ["purge dead letters orders [3, 7]"]);
    let unknown = PurgeDeadLettersRequest { group: "nobody".into(), ..purge(all.clone()) };
    let unknown = rig.client.purge_dead_letters(unknown).await.unwrap_err();
    assert_eq!(reason(&unknown, Code::NotFound), "GROUP_NOT_FOUND");
    let unnamed = PurgeDeadLettersRequest { group: String::new(), ..purge(all) };
    refused_for("group", rig.client.purge_dead_letters(unnamed).await);
    let future = Selection { start_time: Some(FUTURE), ..Selection::default() };
    refused_for("selection.start_time", rig.client.purge_dead_letters(purge(Some(future.clone()))).await);
    let list = ListDeadLettersRequest { selection: Some(future), ..ListDeadLettersRequest::default() };
    refused_for("selection.start_time", rig.client.list_dead_letters(list).await);
    let list = ListDeadLettersRequest { group: "nobody".into(), ..ListDeadLettersRequest::default() };
    let unknown = rig.client.list_dead_letters(list).await.unwrap_err();
    assert_eq!(reason(&unknown, Code::NotFound), "GROUP_NOT_FOUND");
}
