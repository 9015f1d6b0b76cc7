//! The labels of metrics. None ever holds a chat, a user or an update: their number is bounded.

use std::sync::Arc;

use prometheus_client::encoding::EncodeLabelSet;

/// One label, for the documentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Label {
    /// Its name.
    pub name: &'static str,
    /// What it holds, as its doc comment says.
    pub help: &'static str,
}

/// A set of labels that can tell what it has.
pub(super) trait Labels {
    /// In the order of the exposition.
    const ALL: &'static [Label];
}

macro_rules! labels {
    ($($(#[doc = $about:literal])* $set:ident { $($(#[doc = $help:literal])* $name:ident: $type:ty,)* })*) => {$(
        $(#[doc = $about])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
        pub struct $set {
            $($(#[doc = $help])* pub $name: $type,)*
        }

        impl Labels for $set {
            const ALL: &'static [Label] =
                &[$(Label { name: stringify!($name), help: concat!($($help),*) },)*];
        }
    )*};
}

labels! {
    /// Labels of what a bot does.
    BotLabels {
        /// The bot's name.
        bot: Arc<str>,
    }
    /// Labels of how updates come in.
    IntakeLabels {
        /// The bot's name.
        bot: Arc<str>,
        /// `polling` or `webhook`.
        mode: &'static str,
        /// The update's kind, such as `message`; `unknown` for all kinds that this release does not know.
        kind: &'static str,
    }
    /// Labels of why no updates are taken.
    PauseLabels {
        /// The bot's name.
        bot: Arc<str>,
        /// `journal_full` or `disk_full`.
        reason: &'static str,
    }
    /// Labels of what a group does.
    GroupLabels {
        /// The bot's name.
        bot: Arc<str>,
        /// The group's name.
        group: Arc<str>,
    }
    /// Labels of how updates leave a group.
    SettledLabels {
        /// The bot's name.
        bot: Arc<str>,
        /// The group's name.
        group: Arc<str>,
        /// `acked`, `rejected`, `dead_lettered`, `expired` or `purged`.
        outcome: &'static str,
    }
    /// Labels of attempts that did not handle their update.
    EndedLabels {
        /// The bot's name.
        bot: Arc<str>,
        /// The group's name.
        group: Arc<str>,
        /// `nacked`, `released`, `expired`, `lost` or `rejected`.
        how: &'static str,
    }
    /// Labels of calls to Telegram.
    CallLabels {
        /// The bot's name.
        bot: Arc<str>,
        /// The Bot API method.
        method: &'static str,
        /// `ok`, `conflict`, `too_many_requests`, `unauthorized`, `server_error`, `unreachable`, `refused` or
        /// `unreadable`.
        outcome: &'static str,
    }
    /// Labels of webhook requests.
    WebhookLabels {
        /// The bot's name; empty where the path is no bot's.
        bot: Arc<str>,
        /// The HTTP status that was answered.
        status: u16,
    }
    /// Labels of what runs.
    BuildLabels {
        /// The release.
        version: &'static str,
    }
}
