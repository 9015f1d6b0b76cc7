//! What a run ends with when a promise is broken.

use std::fmt;

/// A promise that was broken, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// `P1` to `P10`, or `panic`.
    pub promise: String,
    pub what: String,
}

/// Whether all promises were kept up to now.
pub type Kept = Result<(), Violation>;

impl Violation {
    pub fn of(promise: &str, what: String) -> Self {
        Self { promise: promise.to_owned(), what }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is broken: {}", self.promise, self.what)
    }
}

/// Demands something in the name of a promise, or returns its violation.
macro_rules! demand {
    ($promise:literal, $holds:expr, $($what:tt)*) => {
        if !$holds {
            return Err($crate::violation::Violation::of($promise, format!($($what)*)));
        }
    };
}
pub(crate) use demand;
