//! Handlers: good ones, slow ones, deaf ones, liars.

use switchboard::driver::SettleError;
use switchboard::model::{ConsumerSettings, Outcome, SettledResult, Settlement, Token};

use crate::op::{How, Mood};
use crate::rng::Rng;

/// A delivery that a handler is at.
#[derive(Clone, Debug)]
pub struct Has {
    pub token: Token,
    /// When it will say something about it.
    pub acts: u64,
    /// How often it has asked for more time.
    pub extended: u32,
}

/// What a consumer asks for when it subscribes.
#[derive(Clone, Copy, Debug)]
pub struct Asks {
    pub group: u64,
    pub settings: ConsumerSettings,
    pub holds: u64,
}

/// One handler.
#[derive(Debug)]
pub struct Consumer {
    pub name: String,
    pub mood: Mood,
    pub asks: Option<Asks>,
    /// The gateway and the stream that it has open.
    pub at: Option<(u32, u64)>,
    /// Whether it waits for a stream to be opened.
    pub opening: Option<u32>,
    /// Whether it has died while a stream was being opened.
    pub died: bool,
    /// When it tries to subscribe again.
    pub rejoins: Option<u64>,
    /// Delivered and not read.
    pub inbox: Vec<Token>,
    pub has: Vec<Has>,
}

impl Consumer {
    pub fn new(number: u64) -> Self {
        Self {
            name: format!("c{number}"),
            mood: Mood::Good,
            asks: None,
            at: None,
            opening: None,
            died: false,
            rejoins: None,
            inbox: Vec::new(),
            has: Vec::new(),
        }
    }

    /// Reads what has come, if it reads.
    pub fn read(&mut self, now: u64, rng: &mut Rng) {
        if self.mood == Mood::Deaf {
            return;
        }
        let lease = self.asks.map_or(30_000, |asks| asks.settings.lease_ms);
        for token in self.inbox.drain(..) {
            let acts = match self.mood {
                Mood::Slow => now + lease - lease / 8 + rng.below(lease / 2),
                Mood::Hanging | Mood::Deaf => u64::MAX,
                Mood::Good | Mood::Failing | Mood::Releasing => now + rng.below(lease / 4),
                Mood::Extending => now + rng.below(lease),
                Mood::Fickle => now + rng.below(lease * 2),
            };
            self.has.push(Has { token, acts, extended: 0 });
        }
    }

    /// When it does something next.
    pub fn next(&self) -> Option<u64> {
        self.has.iter().map(|has| has.acts).min().filter(|at| *at < u64::MAX)
    }

    /// What it says about a delivery whose time has come.
    pub fn says(&self, has: &Has, rng: &mut Rng) -> How {
        match self.mood {
            Mood::Failing => *rng.pick(&[How::Fail, How::Fail, How::FailSoon]),
            Mood::Releasing => How::Release,
            Mood::Extending if has.extended < 2 => How::Extend,
            Mood::Fickle => *rng.pick(How::ALL),
            Mood::Good | Mood::Slow | Mood::Hanging | Mood::Deaf | Mood::Extending => How::Ack,
        }
    }

    /// It is told that deliveries are no longer its own. Only a good one minds.
    pub fn lost(&mut self, tokens: &[Token]) {
        if self.mood == Mood::Good {
            self.has.retain(|has| !tokens.contains(&has.token));
        }
        self.inbox.retain(|token| !tokens.contains(token));
    }

    /// It hears what became of a settlement.
    pub fn answered(&mut self, tokens: &[Token], answer: &Result<Vec<SettledResult>, SettleError>, now: u64) {
        match answer {
            Ok(results) => {
                for (token, result) in tokens.iter().zip(results) {
                    let gone =
                        !matches!(result, SettledResult::Applied { .. } | SettledResult::AppliedLate { .. });
                    if gone {
                        self.has.retain(|has| has.token != *token);
                    }
                }
            }
            Err(SettleError::UnknownGroup(_)) => self.has.retain(|has| !tokens.contains(&has.token)),
            // It tries again.
            Err(SettleError::NoRoom | SettleError::Stopped) => {
                for token in tokens {
                    if !self.has.iter().any(|has| has.token == *token) {
                        self.has.push(Has { token: *token, acts: now + 1_000, extended: 9 });
                    }
                }
            }
        }
    }

    /// Its stream is gone.
    pub fn lose_stream(&mut self, now: u64) {
        self.at = None;
        self.inbox.clear();
        self.rejoins = self.asks.map(|_| now + 300);
    }
}

impl How {
    pub fn settlement(self) -> Settlement {
        let nack =
            |outcome, delay_ms, reason: &str| Settlement::Nack { outcome, delay_ms, reason: reason.into() };
        match self {
            Self::Ack => Settlement::Ack,
            Self::Fail => nack(Outcome::Failed, None, "no database"),
            Self::FailSoon => nack(Outcome::Failed, Some(1), ""),
            Self::FailLate => nack(Outcome::Failed, Some(20_000), "later"),
            Self::Release => nack(Outcome::Released, None, ""),
            Self::ReleaseLate => nack(Outcome::Released, Some(3_000), "busy"),
            Self::Extend => Settlement::Extend { duration_ms: None },
            Self::ExtendShort => Settlement::Extend { duration_ms: Some(1_000) },
            Self::Reject => Settlement::Reject { reason: "never".into() },
        }
    }
}
