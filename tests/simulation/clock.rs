//! The wall clock that the intake reads, for the world that runs in this thread.

use std::cell::Cell;

use switchboard::model::UnixMillis;

thread_local! {
    static WALL: Cell<u64> = const { Cell::new(0) };
}

pub fn wall() -> UnixMillis {
    UnixMillis(WALL.get())
}

pub fn set_wall(ms: u64) {
    WALL.set(ms);
}
