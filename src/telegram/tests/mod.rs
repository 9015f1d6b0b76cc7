//! Against a small fake of the Bot API and of the driver.
