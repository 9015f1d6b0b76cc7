//! Which kinds Telegram is asked for (`allowed_updates`): as configured, else what the groups want.

use tokio::sync::watch;

use super::Telegram;
use super::settings::Settings;
use crate::intake::WantedKinds;
use crate::update::KindCode;

/// The list of kinds, and how it changes.
pub(super) struct Kinds {
    configured: Option<Vec<Box<str>>>,
    wanted: watch::Receiver<WantedKinds>,
}

impl Telegram {
    pub(super) fn kinds(&self) -> Kinds {
        Kinds::new(&self.settings, self.intake.wanted())
    }
}

impl Kinds {
    fn new(settings: &Settings, wanted: watch::Receiver<WantedKinds>) -> Self {
        Self { configured: settings.allowed_updates.clone(), wanted }
    }

    /// What to ask for now. It is always sent: left out, what somebody else has asked for would stay.
    pub(super) fn current(&mut self) -> Vec<Box<str>> {
        match &self.configured {
            Some(kinds) => kinds.clone(),
            None => list(&self.wanted.borrow_and_update()),
        }
    }

    /// Waits until something else than `asked` is to be asked for.
    pub(super) async fn other_than(&mut self, asked: &[Box<str>]) {
        let changed =
            self.configured.is_none() && self.wanted.wait_for(|wanted| list(wanted) != asked).await.is_ok();
        if !changed {
            // What is configured stays, and a driver that has ended wants nothing else.
            std::future::pending::<()>().await;
        }
    }
}

/// The argument for Telegram, in the order of the kinds' numbers; an empty list asks for its default.
fn list(wanted: &WantedKinds) -> Vec<Box<str>> {
    let names = |kinds: &mut dyn Iterator<Item = KindCode>| kinds.map(|kind| kind.name().into()).collect();
    if !wanted.default_kinds {
        return names(&mut wanted.named.iter().copied());
    }
    if !wanted.named.iter().any(|kind| kind.is_opt_in()) {
        return Vec::new();
    }
    // A list replaces the default: so the default's kinds are in it, too.
    names(&mut KindCode::known().filter(|kind| !kind.is_opt_in() || wanted.named.contains(kind)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(default_kinds: bool, named: &[&str]) -> Vec<Box<str>> {
        let named = named.iter().map(|name| KindCode::from_name(name).unwrap()).collect();
        list(&WantedKinds { default_kinds, named })
    }

    #[test]
    fn what_the_default_has_is_asked_for_with_an_empty_list() {
        assert_eq!(asked(true, &[]), []);
        assert_eq!(asked(true, &["message", "poll"]), []);
    }

    #[test]
    fn kinds_that_only_come_if_asked_for_are_added_to_all_of_the_default() {
        let list = asked(true, &["message_reaction", "chat_member"]);
        assert_eq!(list.len(), KindCode::known().count() - 1);
        let has = |name: &str| list.iter().any(|kind| **kind == *name);
        assert!(has("message") && has("chat_member") && has("message_reaction"));
        assert!(!has("message_reaction_count") && !has("unknown"));
    }

    #[test]
    fn where_no_group_wants_everything_only_what_is_named_is_asked_for() {
        assert_eq!(asked(false, &["message", "chat_member"]), ["message".into(), "chat_member".into()]);
    }
}
