//! A server over a real journal, with a driver that answers from what the test lays down.

use std::sync::{Arc, Mutex, MutexGuard, mpsc};

use switchboard::driver::{BotHandle, GroupChange, Input, IntakeState, Steer, SteerError, WantedKinds};
use switchboard::grpc::proto::client;
use switchboard::grpc::proto::client::admin_service_client::AdminServiceClient;
use switchboard::grpc::{Bot, Settings, serve};
use switchboard::inspect::{Configured, Inspector};
use switchboard::journal::lmdb::{self, LmdbJournal};
use switchboard::journal::{Journal, JournalReader};
use switchboard::model::{
    Batch, GroupId, GroupName, GroupRates, GroupRecord, GroupSettings, GroupStatus, GroupView, Head,
    HeldView, KeyHash, Label, Payload, Sequence, StoredUpdate, UnixMillis, UpdateInGroup, UpdateStanding,
};
use switchboard::update::KindCode;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tonic::transport::{Channel, Endpoint};

/// When update 0 would have been received; each next one comes a second later.
pub const BEGAN_MS: u64 = 1_700_000_000_000;

/// What the driver knows, and what it was told.
#[derive(Default)]
pub struct World {
    pub groups: Vec<GroupView>,
    pub held: Vec<HeldView>,
    /// What updates are at in every group, where they are not settled.
    pub standings: Vec<(Sequence, UpdateStanding)>,
    /// What the next changes get, before they are done.
    pub refusals: Vec<SteerError>,
    /// What it was asked to change, in words.
    pub told: Vec<String>,
}

pub struct Rig {
    pub client: AdminServiceClient<Channel>,
    pub journal: LmdbJournal,
    pub world: Arc<Mutex<World>>,
    /// Held as a driver holds it: its end is the driver's.
    _intake: watch::Sender<IntakeState>,
    _directory: tempfile::TempDir,
}

pub fn name(text: &str) -> GroupName {
    GroupName::parse(text).unwrap()
}

pub fn view(id: u32, text: &str) -> GroupView {
    GroupView {
        record: GroupRecord::new(
            GroupId(id),
            name(text),
            Sequence(1),
            GroupSettings::default(),
            UnixMillis(BEGAN_MS),
        ),
        ephemeral: false,
        status: GroupStatus { lag_exact: true, ..GroupStatus::default() },
        dead_letters: 0,
        rates: GroupRates::default(),
        samples: Vec::new(),
    }
}

/// An update of chat 40 + its position modulo 4 by user 7.
pub fn update(sequence: u64) -> StoredUpdate {
    let chat = 40 + i64::try_from(sequence % 4).unwrap();
    stored(sequence, chat, 7, "message", &format!(r#"{{"text":"number {sequence}"}}"#))
}

pub fn stored(sequence: u64, chat: i64, user: i64, kind: &str, json: &str) -> StoredUpdate {
    let id = 731_000_000 + i64::try_from(sequence).unwrap();
    let received = BEGAN_MS + sequence * 1_000;
    let message = client::Update {
        bot: "default".into(),
        update_id: id,
        kind: kind.into(),
        chat_id: Some(chat),
        user_id: Some(user),
        received_time: None,
        json: json.into(),
        thread_id: None,
    };
    StoredUpdate {
        head: Head {
            sequence: Sequence(sequence),
            update_id: id,
            key: KeyHash::of_chat(chat),
            user: KeyHash::of_user(user),
            topic: KeyHash::of_chat(chat),
            kind: KindCode::from_name(kind).unwrap(),
            chat_type: None,
            label: Label::EMPTY,
            claimed: false,
            size: u32::try_from(json.len()).unwrap(),
            received: UnixMillis(received),
            committed: UnixMillis(received + 1),
        },
        payload: Payload {
            key: format!("chat:{chat}").into(),
            update: prost::Message::encode_to_vec(&message).into(),
        },
    }
}

impl Rig {
    /// A server with the one bot `default` that has these groups.
    pub async fn start(groups: Vec<GroupView>) -> Self {
        Self::with_room(groups, 64 << 20).await
    }

    /// The same, with a journal of this size.
    pub async fn with_room(groups: Vec<GroupView>, max_bytes: u64) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut journal =
            lmdb::open(&directory.path().join("journal"), 1, &lmdb::Options::with_max_bytes(max_bytes))
                .unwrap();
        let records = groups.iter().map(|group| group.record.clone()).collect();
        journal.commit(&Batch { groups: records, ..Batch::default() }).unwrap();
        let world = Arc::new(Mutex::new(World { groups, ..World::default() }));
        let (bot, intake) = play("default", journal.reader(), &world);
        let channel = listen(vec![bot]).await;
        Self {
            client: AdminServiceClient::new(channel),
            journal,
            world,
            _intake: intake,
            _directory: directory,
        }
    }

    /// The same, with as many updates as [`update`] makes.
    pub async fn with_updates(groups: Vec<GroupView>, count: u64) -> Self {
        let mut rig = Self::start(groups).await;
        rig.store((1..=count).map(update).collect());
        rig
    }

    pub fn store(&mut self, updates: Vec<StoredUpdate>) {
        self.commit(Batch { updates, ..Batch::default() });
    }

    pub fn commit(&mut self, batch: Batch) {
        self.journal.commit(&batch).unwrap();
    }

    pub fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    /// What the driver was asked to change since the last time.
    pub fn told(&self) -> Vec<String> {
        std::mem::take(&mut self.world().told)
    }
}

/// Serves these bots on a loopback port.
pub async fn listen(bots: Vec<Bot>) -> Channel {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve(listener, bots, Settings::default(), std::future::pending()));
    Endpoint::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap()
}

/// A bot whose driver answers from the world.
pub fn play(
    name: &str,
    reader: impl JournalReader,
    world: &Arc<Mutex<World>>,
) -> (Bot, watch::Sender<IntakeState>) {
    let (sender, inputs) = mpsc::channel();
    let (intake, intake_seen) = watch::channel(IntakeState::Open);
    let (_, own_webhook) = watch::channel(None);
    let (_, wanted) = watch::channel(WantedKinds::default());
    let world = Arc::clone(world);
    std::thread::spawn(move || {
        while let Ok(input) = inputs.recv() {
            if let Input::Steer(steer) = input {
                world.lock().unwrap().steer(steer);
            }
        }
    });
    let handle = BotHandle::new(name, sender, intake_seen, own_webhook, wanted);
    let inspector = Inspector::new(reader).with_configured(Configured {
        group: GroupSettings { max_failures: 9, ..GroupSettings::default() },
        retention_max_age_ms: 3_600_000,
        ..Configured::default()
    });
    (Bot { handle, inspector }, intake)
}

impl World {
    fn find(&mut self, name: &GroupName) -> Result<&mut GroupView, SteerError> {
        let found = self.groups.iter_mut().find(|group| group.record.name == *name);
        found.ok_or_else(|| SteerError::UnknownGroup(name.clone()))
    }

    fn refusal(&mut self) -> Result<(), SteerError> {
        if self.refusals.is_empty() { Ok(()) } else { Err(self.refusals.remove(0)) }
    }

    fn steer(&mut self, steer: Steer) {
        match steer {
            Steer::CreateGroup { group, reply } => {
                self.told.push(format!("create {group:?}"));
                let exists = self.find(&group.name).is_ok();
                let made = if exists {
                    Err(SteerError::Exists(group.name))
                } else {
                    Ok(view(99, group.name.as_str()))
                };
                let _ = reply.send(made);
            }
            Steer::ChangeGroup { group, change, reply } => {
                let changed = self.change(&group, change);
                let _ = reply.send(changed);
            }
            Steer::DeleteGroup { group, force, reply } => {
                let answer = self.find(&group).and_then(|found| match (found.status.lag, force) {
                    (unsettled @ 1.., false) => {
                        Err(SteerError::NotEmpty { group, unsettled, dead_letters: 2 })
                    }
                    (unsettled, _) => Ok(unsettled),
                });
                let _ = reply.send(answer);
            }
            Steer::Replay { group, sequences, from_dead_letters, reply } => {
                let answer = self.refusal().map(|()| sequences.len() as u64);
                if answer.is_ok() {
                    let numbers: Vec<_> = sequences.iter().map(|sequence| sequence.0).collect();
                    self.told.push(format!("replay {group} {numbers:?} {from_dead_letters}"));
                }
                let _ = reply.send(answer);
            }
            Steer::PurgeDeadLetters { group, sequences, reply } => {
                let numbers: Vec<_> = sequences.iter().map(|sequence| sequence.0).collect();
                self.told.push(format!("purge dead letters {group} {numbers:?}"));
                let _ = reply.send(Ok(()));
            }
            Steer::Purge { sequences, reply } => {
                let numbers: Vec<_> = sequences.iter().map(|sequence| sequence.0).collect();
                self.told.push(format!("purge {numbers:?}"));
                let _ = reply.send(Ok(()));
            }
            Steer::Groups { only, reply } => {
                let wanted = |group: &&GroupView| only.as_ref().is_none_or(|name| group.record.name == *name);
                let _ = reply.send(self.groups.iter().filter(wanted).cloned().collect());
            }
            Steer::Held { group, key, after, limit, reply } => {
                let wanted =
                    |held: &&HeldView| held.sequence > after && key.is_none_or(|key| held.key == key);
                let held = self.held.iter().filter(wanted).take(limit).cloned().collect();
                let _ = reply.send(self.find(&group).map(|_| held));
            }
            Steer::Standing { heads, only, reply } => {
                let wanted = |here: &UpdateInGroup| only.is_none_or(|only| here.group.id == only);
                let standing = |head| self.standing(head).into_iter().filter(wanted).collect();
                let _ = reply.send(heads.iter().map(standing).collect());
            }
        }
    }

    fn change(&mut self, group: &GroupName, change: GroupChange) -> Result<GroupView, SteerError> {
        self.told.push(format!("change {group} {change:?}"));
        let found = self.find(group)?;
        if found.ephemeral {
            return Err(SteerError::Ephemeral(group.clone()));
        }
        match change {
            GroupChange::Paused(paused) => found.record.paused = paused.then_some(UnixMillis(BEGAN_MS)),
            GroupChange::Seek(to) => found.record.start = to,
            GroupChange::Settings { filter, settings, max_ages } => {
                if let Some(filter) = filter {
                    found.record.filters.push((Sequence(1), filter));
                }
                found.record.settings = settings.unwrap_or(found.record.settings);
                found.record.max_ages = max_ages.unwrap_or_default();
            }
        }
        Ok(found.clone())
    }

    fn standing(&self, head: &Head) -> Vec<UpdateInGroup> {
        let laid_down = self.standings.iter().find(|(sequence, _)| *sequence == head.sequence);
        let standing = laid_down.map_or(UpdateStanding::Settled, |(_, standing)| standing.clone());
        let here = |group: &GroupView| UpdateInGroup {
            group: group.record.clone(),
            standing: standing.clone(),
            owner: None,
        };
        self.groups.iter().map(here).collect()
    }
}
