//! The language of the transcripts: each line is an input, what follows `----` is what the dispatcher made of it.
//!
//! ```text
//! group max-failures=5 …         before anything else: settings that are not the default
//! group ordering=user fallback=yes kinds=… max-age=callback_query:150s,poll:1h
//! append a b 7/c*20 many:1000    updates: of key a, of b, twenty of c in shard 7, one each of a thousand keys
//! append a kind=… type=… label=… user=u topic=t claimed=yes
//! filter kinds=… types=… commands=… prefixes=… · change max-age=… max-failures=… · pause · resume
//! subscribe c1 outstanding=… bytes=… lease=… held=1@1,2@1
//! ack 1 · reject 1 · release 1 · nack 1 delay=… reason=… · extend 1 for=…
//! drain c1 · close c1 · leave c1 · time 5s · stall 5s · expire 3
//! commits by-hand · commit · durable · refuse          by default everything is durable at once
//! seek 3 · replay 1 2 · purge 1 2      seek: everything up to 3 counts as settled, nothing above
//! restart · delete
//! status · standing 1 2 · held         held of all keys, standing of single updates
//! consumers · blocked · trail 1
//! ```
//!
//! `1@2` names attempt 2 of update 1 (`1` its newest), `1@2#1` that of boot 1, `1@2%3` that of generation 3.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::steering::Steer;
use super::views;
use super::words::{Args, ms};
use super::world::{EPOCH, GROUP, World, head, key, record};
use crate::dispatch::{Change, Command, Handout, Record, StreamId};
use crate::model::{
    ConsumerSettings, GroupSettings, HeldView, KeyHash, Monotonic, Outcome, Sequence, SettledResult,
    Settlement, StreamEnd, Token, UpdateStanding,
};

/// More deliveries or tokens of one command, or records of one turn, than this are only counted.
const MAX_LISTED: usize = 6;

pub(super) struct Script {
    pub(super) world: World,
    /// The newest stream of each consumer.
    consumers: BTreeMap<String, StreamId>,
    names: BTreeMap<StreamId, String>,
    tokens: Vec<Token>,
    key_names: BTreeMap<KeyHash, String>,
    out: String,
}

impl Script {
    pub(super) fn new() -> Self {
        Self {
            world: World::new(GroupSettings::default()),
            consumers: BTreeMap::new(),
            names: BTreeMap::new(),
            tokens: Vec::new(),
            key_names: BTreeMap::new(),
            out: String::new(),
        }
    }

    /// Carries out one line and returns what came out.
    pub(super) fn line(&mut self, line: &str) -> String {
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        let args = Args(rest.split_whitespace().collect());
        let now = self.world.now;
        match verb {
            "group" => {
                let mut record = record(GROUP, Sequence(1), GroupSettings::default());
                args.change(&mut record);
                self.world = World::of(record);
            }
            "change" => self.world.change_group(|record| args.change(record)),
            "filter" => self.world.filter(args.filter()),
            "pause" => self.world.change_group(|record| record.paused = Some(now.unix)),
            "resume" => self.world.change_group(|record| record.paused = None),
            "append" => self.append(&args),
            "subscribe" => self.subscribe(&args),
            "ack" => self.settle(&args, &Settlement::Ack),
            "reject" => self.settle(&args, &Settlement::Reject { reason: args.reason() }),
            "nack" | "release" => {
                let outcome = if verb == "nack" { Outcome::Failed } else { Outcome::Released };
                let delay_ms = args.ms("delay");
                self.settle(&args, &Settlement::Nack { outcome, delay_ms, reason: args.reason() });
            }
            "extend" => self.settle(&args, &Settlement::Extend { duration_ms: args.ms("for") }),
            "drain" => self.world.dispatcher.handle_drain(now, self.consumers[args.first()]),
            "close" => self.world.dispatcher.handle_closed(now, self.consumers[args.first()]),
            "leave" => {
                let left = self.world.dispatcher.handle_leave(now, GROUP, args.first());
                let _ = writeln!(self.out, "{left:?} outstanding");
            }
            "time" => {
                for (at, commands) in self.world.advance(ms(args.first())) {
                    let _ = writeln!(self.out, "at {}:", time(Monotonic(at)));
                    self.show(&commands);
                }
            }
            "stall" => {
                self.world.pass(ms(args.first()));
                self.world.dispatcher.handle_stall(ms(args.first()));
                self.world.dispatcher.handle_time(self.world.now);
            }
            "expire" => {
                let at: usize = args.first().parse().unwrap();
                let gone = self.world.dispatcher.handle_expire(now, GROUP, &self.world.heads[at - 1]);
                self.out += if gone { "given up\n" } else { "not now\n" };
            }
            "commits" => self.world.commits_at_once = args.first() == "at-once",
            "commit" => self.world.begin_commit(),
            "durable" => {
                if self.world.in_flight.is_none() {
                    self.world.begin_commit();
                }
                self.world.finish_commit();
            }
            "refuse" => drop(self.world.refuse_commit()),
            "restart" => self.world.restart(),
            "seek" => self.world.steer(Steer::Seek(GROUP, args.sequences()[0])),
            "replay" => self.world.steer(Steer::Replay(GROUP, args.sequences())),
            "purge" => self.world.steer(Steer::Purge(args.sequences())),
            "standing" => self.standing(&args),
            "held" => self.held(),
            "consumers" => views::consumers(&self.world, &mut self.out),
            "blocked" => views::blocked(&self.world, &mut self.out),
            "trail" => views::trail(&self.world, args.sequences()[0], &mut self.out),
            "delete" => {
                let commands = self.world.dispatcher.remove_group(GROUP, StreamEnd::GroupDeleted);
                self.show(&commands);
                self.world.groups.clear();
            }
            "status" => self.status(),
            _ => panic!("no such input: {line}"),
        }
        let commands = self.world.turn();
        self.show(&commands);
        std::mem::take(&mut self.out)
    }

    fn append(&mut self, args: &Args<'_>) {
        let size = args.number("size").unwrap_or(100);
        let mut updates = Vec::new();
        for word in args.plain() {
            if let Some((name, count)) = word.split_once(':') {
                let count: usize = count.parse().unwrap();
                updates.extend((0..count).map(|i| format!("{name}{i}")));
            } else if let Some((name, count)) = word.split_once('*') {
                updates.extend(vec![name.to_owned(); count.parse().unwrap()]);
            } else {
                updates.push(word.to_owned());
            }
        }
        let now = self.world.now.unix;
        let heads: Vec<_> = updates.iter().map(|name| args.head(head(now, key(name), size))).collect();
        self.key_names.extend(updates.into_iter().map(|name| (key(&name), name)));
        for name in ["user", "topic"].into_iter().filter_map(|name| args.named(name)) {
            self.key_names.insert(key(name), name.to_owned());
        }
        self.world.append_heads(heads);
    }

    fn subscribe(&mut self, args: &Args<'_>) {
        let settings = ConsumerSettings {
            max_outstanding: args.number("outstanding").unwrap_or(10),
            max_outstanding_bytes: args.number("bytes").unwrap_or(1_000_000),
            lease_ms: args.ms("lease").unwrap_or(30_000),
        };
        let held: Vec<_> = args
            .named("held")
            .map(|names| names.split(',').map(|name| self.token(name)).collect())
            .unwrap_or_default();
        let name = args.first().to_owned();
        let (stream, kept) = self.world.subscribe(&name, settings, &held);
        if args.named("unnamed").is_some() {
            self.world.dispatcher.handle_unnamed(stream);
        }
        // A stream that was replaced is told so under the name it had.
        let shown = match self.consumers.insert(name.clone(), stream) {
            None => name,
            Some(_) => format!("{name}'{}", stream.0),
        };
        self.names.insert(stream, shown);
        if !held.is_empty() {
            let kept: Vec<_> = kept.iter().map(Self::name).collect();
            let _ = writeln!(self.out, "keeps {}", kept.join(" "));
        }
    }

    fn settle(&mut self, args: &Args<'_>, settlement: &Settlement) {
        for name in args.plain() {
            let mut token = self.token(name);
            token.journal = args.number("journal").unwrap_or(token.journal);
            let result = self.world.settle(&token, settlement);
            let (result, end) = match result {
                SettledResult::Applied { deadline } => ("applied", deadline),
                SettledResult::AppliedLate { deadline } => ("applied late", deadline),
                SettledResult::AlreadySettled => ("already settled", None),
                SettledResult::Superseded => ("superseded", None),
                SettledResult::Unknown => ("unknown", None),
            };
            let end = end.map_or_else(String::new, |(end, _)| format!(", leased until {}", time(end)));
            let _ = writeln!(self.out, "{}: {result}{end}", Self::name(&token));
        }
    }

    /// The token of this name; the newest one that has all that is named.
    fn token(&self, name: &str) -> Token {
        let (name, generation) = name.split_once('%').map_or((name, None), |(name, of)| (name, Some(of)));
        let (name, boot) = name.split_once('#').map_or((name, None), |(name, boot)| (name, Some(boot)));
        let (name, attempt) = name.split_once('@').map_or((name, None), |(name, of)| (name, Some(of)));
        let is = |text: Option<&str>, number: u32| text.is_none_or(|text| text == number.to_string());
        *self
            .tokens
            .iter()
            .rev()
            .find(|t| {
                t.sequence.0.to_string() == name
                    && is(attempt, t.attempt)
                    && is(boot, t.boot)
                    && is(generation, t.generation)
            })
            .expect("that delivery was made")
    }

    fn name(token: &Token) -> String {
        let mut name = format!("{}@{}", token.sequence.0, token.attempt);
        for (mark, number) in [('#', token.boot), ('%', token.generation)] {
            if number > 1 {
                let _ = write!(name, "{mark}{number}");
            }
        }
        name
    }

    fn status(&mut self) {
        let stats = self.world.dispatcher.stats(GROUP).unwrap();
        let replaying =
            if stats.replaying > 0 { format!(", {} replaying", stats.replaying) } else { String::new() };
        let _ = writeln!(
            self.out,
            "{} consumers, {} outstanding, {} backing off, cursor {}, lag {}{replaying}",
            stats.consumers, stats.outstanding, stats.backing_off, stats.cursor.0, stats.lag
        );
    }

    fn standing(&mut self, args: &Args<'_>) {
        for head in self.world.heads_at(&args.sequences()) {
            let found = self.world.dispatcher.standing(self.world.now, GROUP, &head).unwrap();
            let owner = found.owner.as_deref().unwrap_or("nobody");
            let standing = match found.standing {
                UpdateStanding::Held(view) => held(&view),
                UpdateStanding::Pending { behind } => {
                    behind.map_or("pending".into(), |at| format!("pending behind {}", at.0))
                }
                other => format!("{other:?}"),
            };
            let _ = writeln!(self.out, "{}: {standing}, owner {owner}", head.sequence.0);
        }
    }

    fn held(&mut self) {
        for view in self.world.dispatcher.held(self.world.now, GROUP, None, Sequence(0), 100) {
            let _ = writeln!(self.out, "{}: {}", view.sequence.0, held(&view));
        }
    }

    fn show(&mut self, commands: &[Command]) {
        let records = commands.iter().filter(|command| matches!(command, Command::Record(_))).count();
        if records > MAX_LISTED {
            let _ = writeln!(self.out, "journal <- {records} records");
        }
        for command in commands {
            let line = match command {
                Command::Record(_) if records > MAX_LISTED => continue,
                Command::Record(record) => self.record(record),
                Command::Deliver { stream, handouts } => {
                    self.tokens.extend(handouts.iter().map(|handout| handout.token));
                    format!("{} <- {}", self.names[stream], self.deliveries(handouts))
                }
                Command::Assign { stream, gained, lost, generation } => {
                    let (gained, lost) = (gained.len(), lost.len());
                    format!("{} <- shards +{gained} -{lost} (assignment {generation})", self.names[stream])
                }
                Command::LeaseLost { stream, tokens } if tokens.len() > MAX_LISTED => {
                    format!("{} <- {} leases lost", self.names[stream], tokens.len())
                }
                Command::LeaseLost { stream, tokens } => {
                    let tokens: Vec<_> = tokens.iter().map(Self::name).collect();
                    format!("{} <- lease lost {}", self.names[stream], tokens.join(" "))
                }
                Command::Close { stream, end } => format!("{} <- end: {end:?}", self.names[stream]),
            };
            self.out += &line;
            self.out.push('\n');
        }
    }

    fn deliveries(&self, handouts: &[Handout]) -> String {
        if handouts.len() > MAX_LISTED {
            return format!("{} updates", handouts.len());
        }
        let name_of = |key| self.key_names.get(&key).map_or("no key", String::as_str);
        let one = |handout: &Handout| {
            let mut text = format!("{} ({}", Self::name(&handout.token), name_of(handout.key));
            if handout.failures > 0 {
                let _ = write!(text, ", failed {}", handout.failures);
            }
            if let Some(last) = &handout.last_failure {
                let _ = write!(text, ", {:?} {:?}", last.kind, last.reason);
            }
            text + if handout.replayed { ", again)" } else { ")" }
        };
        handouts.iter().map(one).collect::<Vec<_>>().join(" ")
    }

    fn record(&self, record: &Record) -> String {
        let at = record.sequence.0;
        match &record.change {
            Change::Settled { how, dead } => {
                let dead = dead.as_ref().map_or_else(String::new, |dead| {
                    let reasons: Vec<_> = dead
                        .attempts
                        .history
                        .iter()
                        .map(|f| format!("{:?} {:?}", f.kind, f.reason))
                        .collect();
                    format!(" ({})", reasons.join(", "))
                });
                format!("journal <- {at} {how:?}{dead}")
            }
            Change::Ended { how, state } => {
                let wait =
                    state.not_before.0.saturating_sub(EPOCH).saturating_sub(self.world.now.unix.0 - EPOCH);
                let wait = if wait == 0 { String::new() } else { format!(", again in {wait}ms") };
                let (attempt, failures) = (state.attempt, state.failures);
                format!("journal <- {at}@{attempt} {how:?}, failed {failures}{wait}")
            }
        }
    }
}

fn held(view: &HeldView) -> String {
    let again = if view.replayed { ", again" } else { "" };
    format!("{:?}, attempt {}, failed {}{again}", view.state, view.attempt, view.failures)
}

fn time(at: Monotonic) -> String {
    format!("{}.{:03}s", at.0 / 1_000, at.0 % 1_000)
}
