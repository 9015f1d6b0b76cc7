//! What can happen. A history is a list of these; every one means something whatever came before, so that some can be
//! left out.

use std::fmt;

use crate::word::{Word, Words, words};

words! {
    /// What a commit meets.
    CommitFate:
    /// It is durable.
    Durable
    /// It is refused for want of room.
    NoRoom
    /// It is durable, but the disk says that it failed.
    FailedDurable
    /// It is not durable, and the disk says so.
    FailedLost
}

words! {
    /// What becomes of what the commit thread is at when the process is killed.
    LastCommit: Lost Durable
}

words! {
    /// The disk from now on.
    DiskState:
    Fine
    /// No room for updates.
    FullForUpdates
    /// No room for anything.
    Full
    /// Commits take until it is no longer so.
    Blocked
}

words! {
    /// What becomes of something that is on its way between Telegram and a gateway.
    Fate:
    Arrives
    Lost
    /// It arrives now, and once more later.
    Doubled
    /// It arrives much later.
    Delayed
    /// A page arrives without its end; anything else arrives.
    Cut
}

words! {
    /// Kinds of updates.
    Kind: Message Command Edited Callback Inline Post Poll Reaction Member Unknown Bare
}

words! {
    /// How a handler works.
    Mood:
    /// Acks what it gets, in time.
    Good
    /// Acks what it gets, mostly too late.
    Slow
    /// Reads and says nothing.
    Hanging
    /// Does not read.
    Deaf
    /// Nacks everything.
    Failing
    /// Gives everything back.
    Releasing
    /// Extends twice, then acks.
    Extending
    /// Does all of that, and rejects.
    Fickle
}

words! {
    /// What a handler says about a delivery.
    How: Ack Fail FailSoon FailLate Release ReleaseLate Extend ExtendShort Reject
}

words! {
    /// What is wrong with a token that a handler uses.
    Lie:
    /// It is as it was given, to whomever.
    Another
    NextAttempt
    PreviousAttempt
    NextBoot
    PreviousBoot
    NextGeneration
    PreviousGeneration
    OtherJournal
    OtherGroup
    NeverStored
    OtherKey
}

words! {
    /// What a group gets.
    Which: Everything Messages Callbacks SomeChats Commands Prefixes PrivateChats
}

words! {
    /// What a group's order is kept by.
    By: Chat User Topic Nothing
}

words! {
    /// Where a group begins.
    From: Default Earliest Latest Middle Hour
}

macro_rules! ops {
    ($($(#[doc = $doc:literal])* $name:ident { $($field:ident: $type:ty),* })*) => {
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Op {
            $($(#[doc = $doc])* $name { $($field: $type),* },)*
        }

        impl fmt::Display for Op {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Self::$name { $($field),* } => {
                        f.write_str(stringify!($name))?;
                        $(write!(f, " {}={}", stringify!($field), $field.write())?;)*
                        Ok(())
                    })*
                }
            }
        }

        impl Op {
            /// The op that this line is.
            pub fn read(line: &str) -> Option<Self> {
                let _words = Words(line);
                match line.split(' ').next()? {
                    $(stringify!($name) => Some(Self::$name { $($field: _words.get(stringify!($field))?),* }),)*
                    _ => None,
                }
            }
        }
    };
}

ops! {
    /// Time passes, and everybody does what is due.
    Pass { ms: u64 }
    /// Time passes, and the gateways stand still.
    Stall { ms: u64 }
    /// The wall clock is set.
    SetClock { by_ms: i64 }
    /// Nobody writes for so long.
    Quiet { hours: u64 }
    /// Everything happens that can happen at once.
    Rest {}

    /// A gateway is started, on the journal that there is.
    Start {}
    /// A gateway is killed.
    Kill { gateway: u64, commit: LastCommit }
    /// A gateway is told to stop.
    Stop { gateway: u64, grace_ms: u64 }
    /// A gateway's loop turns once.
    Turn { gateway: u64 }
    /// What a gateway's commit thread is at comes to its end.
    Commit { gateway: u64, fate: CommitFate }
    Disk { state: DiskState }

    /// Somebody writes to the bot.
    Write { chat: u64, kind: Kind, count: u64 }
    /// Something comes into the queue that cannot be read.
    Garble { how: u64 }
    /// From now on updates come by webhook, or by polling.
    Mode { webhook: bool }
    Network { packet: u64, fate: Fate }

    /// A consumer opens a stream; `holds` says which of its tokens it names.
    Join { consumer: u64, group: u64, gateway: u64, credit: u64, bytes: u64, lease_ms: u64, holds: u64 }
    Mood { consumer: u64, mood: Mood }
    /// A consumer's stream breaks, and it forgets what it was at, or not.
    Die { consumer: u64, forgets: bool }
    Leave { consumer: u64 }
    /// A consumer's stream has its greatest age.
    Drain { consumer: u64 }
    /// A consumer settles one that it has, and hears the answer, or not.
    Settle { consumer: u64, which: u64, how: How, hears: bool }
    SettleAll { consumer: u64, how: How }
    /// Somebody settles with a token that it was never given.
    Lie { which: u64, lie: Lie, how: How }

    Create { group: u64, which: Which, by: By, fallback: bool, from: From }
    Change { group: u64, which: Which, settings: u64 }
    Pause { group: u64, on: bool }
    Seek { group: u64, to: u64 }
    Delete { group: u64, force: bool }
    Replay { group: u64, from: u64, count: u64, dead: bool }
    /// Dead letters are removed.
    Bury { group: u64, from: u64, count: u64 }
    Purge { from: u64, count: u64 }
}
