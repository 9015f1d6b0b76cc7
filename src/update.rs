//! One Telegram Update: its kind, its routing key, its verbatim JSON.

/// A kind of update as one byte, for the journal's heads. The numbers are part of the stored format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KindCode(pub u8);
