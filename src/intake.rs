//! Raw bytes to parsed updates to the driver: the only door for the Telegram side.
