//! The bots that this gateway serves, and which of them a request means.

use std::sync::Arc;

use super::nearest::nearest;
use crate::driver::BotHandle;
use crate::inspect::Inspector;

/// One bot, as the gRPC side needs it.
#[derive(Clone, Debug)]
pub struct Bot {
    /// Its driver.
    pub handle: BotHandle,
    /// Its journal.
    pub inspector: Inspector,
}

/// All bots. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Bots(Arc<[Bot]>);

/// Why a request's `bot` names none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum UnresolvedBot {
    #[error("`bot` is empty, and this gateway has several bots: name one of {known}")]
    Unnamed { known: String },
    #[error("there is no bot `{name}`{}his gateway has {known}", did_you_mean(nearest.as_deref()))]
    Unknown { name: String, nearest: Option<String>, known: String },
}

/// How many bots an error names; errors travel in HTTP headers, which clients limit to some 8 KiB.
const NAMED_BOTS: usize = 20;
/// How much of an unknown name an error repeats, for the same reason.
const REPEATED_BYTES: usize = 64;

fn did_you_mean(nearest: Option<&str>) -> String {
    nearest.map_or_else(|| "; t".to_owned(), |nearest| format!("; did you mean `{nearest}`? T"))
}

impl Bots {
    pub(super) fn new(bots: Vec<Bot>) -> Self {
        Self(bots.into())
    }

    /// The bot of this name; the only one if the name is empty.
    pub(super) fn find(&self, name: &str) -> Result<&Bot, UnresolvedBot> {
        if let ([only], "") = (&*self.0, name) {
            return Ok(only);
        }
        if name.is_empty() {
            return Err(UnresolvedBot::Unnamed { known: self.names() });
        }
        self.0.iter().find(|bot| bot.handle.bot() == name).ok_or_else(|| {
            let name = name.get(..name.floor_char_boundary(REPEATED_BYTES)).unwrap_or_default();
            let nearest = nearest(name, self.0.iter().map(|bot| bot.handle.bot()));
            UnresolvedBot::Unknown { name: name.into(), nearest, known: self.names() }
        })
    }

    /// All of them, by name.
    pub(super) fn by_name(&self) -> Vec<&Bot> {
        let mut bots: Vec<_> = self.0.iter().collect();
        bots.sort_by_key(|bot| bot.handle.bot());
        bots
    }

    /// Returns when all drivers have ended: then nothing can be settled any more.
    pub(super) async fn ended(&self) {
        for bot in &*self.0 {
            let mut intake = bot.handle.intake();
            while intake.changed().await.is_ok() {}
        }
    }

    fn names(&self) -> String {
        let mut names: Vec<_> =
            self.0.iter().take(NAMED_BOTS).map(|bot| format!("`{}`", bot.handle.bot())).collect();
        if let more @ 1.. = self.0.len().saturating_sub(NAMED_BOTS) {
            names.push(format!("{more} more"));
        }
        names.join(", ")
    }
}
