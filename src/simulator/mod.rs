//! A faithful local Bot API server, for development, tests and load.
