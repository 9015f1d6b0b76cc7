//! Deliberate bugs, each at the line that decides about a promise.
//!
//! They show that the tests prove something: with any one of them switched on, `tests/simulation` must find a violation.
//! Without the feature `simulation` there are none: [`on`] is `false` when the program is built.

macro_rules! mutations {
    ($($name:ident: $what:literal,)*) => {
        /// A deliberate bug.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Mutation {
            $(#[doc = $what] $name,)*
        }

        impl Mutation {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// What goes wrong.
            #[must_use]
            pub fn what(self) -> &'static str {
                match self {
                    $(Self::$name => $what,)*
                }
            }
        }
    };
}

mutations! {
    ConfirmRefusedPage: "polling passes an update of a page that was not made durable",
    PassUnseen: "the offset is one too high and passes an update that was never seen",
    PassUnreadable: "a polled element that cannot be read is passed without being set aside",
    ConfirmRefusedPost: "a post whose update was refused is answered 200",
    KeepSpaceAround: "the space around the JSON is stored with it",
    OrderByUser: "updates are ordered by their user even where they have a chat",
    KeepRepeatsOfOneCommit: "an update that comes twice before a commit is stored twice",
    KeepArrivalOrder: "what comes together is not sorted by its ids",
    AnswerAppendEarly: "appends are answered when their commit begins",
    AnswerSettlementEarly: "settlements are answered before they are durable",
    AnswerRefusedSettlement: "settlements that found no room are answered like any other",
    ForgetIdsAtStart: "a start forgets which ids were stored",
    DropLowerIds: "an id below the newest one is taken for a repeat",
    ForgetIdsEarly: "ids are remembered for an hour only",
    IgnoreBlockedDisk: "leases run out while the disk is blocked",
    TrimUnsettled: "updates are trimmed whether they are settled or not",
    ExpireEarly: "updates expire at half of the age that their group allows",
    FilterThePast: "a new filter holds for what came before it",
    SeekKeepsTokens: "tokens of before a seek stay good",
    IgnoreGenerations: "tokens of before a seek or a replay settle what came after it",
    AcceptOldBoots: "tokens of any earlier boot are good",
    AcceptSuperseded: "any delivery of an update settles it, not only the newest",
    AcceptEndedOfEarlierBoot: "a delivery whose end was recorded is good again after a restart",
    UnlockKeyOnSuperseded: "a superseded settlement lets its key go on",
    CountReleases: "giving back counts as a failure",
    CountLateNacks: "a late nack counts a second failure of the same delivery",
    NoBackoff: "a failed update is tried again at once",
    LoseRefusedRecords: "what the gateway could not record for want of room is forgotten",
    OvertakeTheUnread: "new updates are queued before older ones that are not in the window",
    LoseWhatWasLeftBehind: "what a full key left behind is never read",
    CursorPassesUnsettled: "the cursor passes the first unsettled update",
    ForgetSettledAtStart: "a start forgets what was settled above the cursor",
    CountOneMoreAsSettled: "the update after the cursor counts as settled",
    CountNoFailures: "failures are not counted",
    OneFailureMore: "an update fails once more than it may before it is a dead letter",
    IgnoreFailureSpan: "failures need not span any time to make a dead letter",
    CountAnnouncedLosses: "the end of a stream that was to end counts as a failure of what was out on it",
    CountSharedLosses: "a lost stream counts as a failure of everything that was out on it",
    TakeFromOthers: "a consumer that names another's deliveries gets them",
    ForgetHeldTokens: "a consumer that comes back does not get its ended deliveries again",
    WaitForEver: "a lost consumer's shards are kept for it for ever",
    IgnoreStalls: "leases run out while the gateway stands still",
    OneMoreThanCredit: "a consumer gets one more than its credit",
    IgnoreBytes: "a consumer's credit of bytes is not looked at",
    IgnorePauses: "a paused group gets deliveries",
    ForgetReadyShards: "a shard whose consumer had no credit is forgotten",
    RedeliverEarly: "an update is handed out again before the end of its delivery is durable",
    ReplayKeepsTokens: "a replay has the tokens of the first life",
    ExpireWhatIsOut: "an update expires while a handler has it",
    LeaversKeepShards: "a consumer that leaves keeps its shards",
    ForgetFailuresAtStart: "a start forgets how often an update has failed",
    SkipFence: "a deposed writer may commit",
    ForgetOneMoreThanCursor: "the journal in memory forgets one settled position above a cursor that moves",
    LmdbLeavesOneOut: "LMDB leaves one settled position of each commit out",
}

#[cfg(any(test, feature = "simulation"))]
mod switch {
    use std::cell::Cell;

    use super::Mutation;

    thread_local! {
        static ON: Cell<Option<Mutation>> = const { Cell::new(None) };
    }

    /// Whether the bug is switched on in this thread.
    pub(crate) fn on(mutation: Mutation) -> bool {
        ON.get() == Some(mutation)
    }

    /// Does something with a bug switched on, in this thread.
    pub fn with<T>(mutation: Option<Mutation>, run: impl FnOnce() -> T) -> T {
        struct Before(Option<Mutation>);

        impl Drop for Before {
            fn drop(&mut self) {
                ON.set(self.0);
            }
        }

        let _before = Before(ON.replace(mutation));
        run()
    }
}

#[cfg(any(test, feature = "simulation"))]
pub use switch::with;

#[cfg(any(test, feature = "simulation"))]
pub(crate) use switch::on;

/// Whether the bug is switched on: it is not.
#[cfg(not(any(test, feature = "simulation")))]
pub(crate) const fn on(_mutation: Mutation) -> bool {
    false
}
