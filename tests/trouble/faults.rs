//! Trouble on the way from Telegram.
