//! The commands as they are typed, against a gateway that answers as the test says.

mod fake;
mod lists;
mod parsing;
mod refusals;
mod steering;
mod timelines;

use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

pub(super) use fake::{Fake, Gateway};

/// Where a command prints to in a test.
#[derive(Clone, Default)]
pub(super) struct Written(Arc<Mutex<Vec<u8>>>);

impl Written {
    pub(super) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()).unwrap()
    }
}

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
