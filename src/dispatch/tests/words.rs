//! The words of the transcripts' lines.

use super::world::key;
use crate::model::{Filter, FilterParts, GroupRecord, GroupSettings, Head, Label, Ordering, Sequence};
use crate::update::{ChatType, KindCode};

/// The words of a line: plain ones and `name=value`.
pub(super) struct Args<'a>(pub(super) Vec<&'a str>);

impl<'a> Args<'a> {
    pub(super) fn plain(&self) -> impl Iterator<Item = &'a str> {
        self.0.iter().copied().filter(|word| !word.contains('='))
    }

    pub(super) fn named(&self, name: &str) -> Option<&'a str> {
        self.0.iter().find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
    }

    pub(super) fn ms(&self, name: &str) -> Option<u64> {
        self.named(name).map(ms)
    }

    pub(super) fn number<T: std::str::FromStr>(&self, name: &str) -> Option<T> {
        self.named(name).map(|text| text.parse().ok().expect("a number"))
    }

    pub(super) fn sequences(&self) -> Vec<Sequence> {
        self.plain().map(|word| Sequence(word.parse().expect("a number"))).collect()
    }

    pub(super) fn first(&self) -> &'a str {
        self.plain().next().expect("a word")
    }

    pub(super) fn reason(&self) -> Box<str> {
        self.named("reason").unwrap_or_default().into()
    }

    fn list<T>(&self, name: &str, parse: impl Fn(&'a str) -> T) -> Vec<T> {
        self.named(name).map(|list| list.split(',').map(parse).collect()).unwrap_or_default()
    }

    pub(super) fn filter(&self) -> Option<Filter> {
        let parts = FilterParts {
            kinds: self.list("kinds", kind),
            chat_ids: Vec::new(),
            chat_types: self.list("types", |name| ChatType::from_name(name).unwrap()),
            commands: self.list("commands", Into::into),
            callback_data_prefixes: self.list("prefixes", Into::into),
        };
        (parts != FilterParts::default()).then(|| Filter::new(parts).unwrap())
    }

    /// What the line says about a group; the rest stays.
    pub(super) fn change(&self, record: &mut GroupRecord) {
        let before = record.settings;
        record.settings = GroupSettings {
            max_failures: self.number("max-failures").unwrap_or(before.max_failures),
            min_failure_span_ms: self.ms("span").unwrap_or(before.min_failure_span_ms),
            backoff_initial_ms: self.ms("backoff").unwrap_or(before.backoff_initial_ms),
            backoff_max_ms: self.ms("backoff-max").unwrap_or(before.backoff_max_ms),
            member_grace_ms: self.ms("grace").unwrap_or(before.member_grace_ms),
            max_lease_ms: self.ms("max-lease").unwrap_or(before.max_lease_ms),
            ..before
        };
        if self.named("max-age").is_some() {
            record.max_ages = self.list("max-age", |word| {
                let (name, age) = word.split_once(':').unwrap();
                (kind(name), ms(age))
            });
        }
        if let Some(name) = self.named("ordering") {
            record.ordering = match name {
                "chat" => Ordering::Chat,
                "user" => Ordering::User,
                "topic" => Ordering::Topic,
                "none" => Ordering::None,
                _ => panic!("no such ordering: {name}"),
            };
        }
        record.fallback |= self.named("fallback").is_some();
        if let Some(filter) = self.filter() {
            record.filters = vec![(record.start, Some(filter))];
        }
    }

    /// An update with all that the line says about it.
    pub(super) fn head(&self, head: Head) -> Head {
        Head {
            user: self.named("user").map_or(head.user, key),
            topic: self.named("topic").map_or(head.topic, key),
            kind: self.named("kind").map_or(head.kind, kind),
            chat_type: self.named("type").map(|name| ChatType::from_name(name).unwrap()),
            label: self.named("label").map_or(Label::EMPTY, Label::new),
            claimed: self.named("claimed").is_some(),
            ..head
        }
    }
}

pub(super) fn ms(text: &str) -> u64 {
    let units = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000)];
    let (number, unit) = units.iter().find_map(|(name, ms)| Some((text.strip_suffix(name)?, ms))).unwrap();
    number.parse::<u64>().unwrap() * unit
}

fn kind(name: &str) -> KindCode {
    KindCode::from_name(name).expect("a kind")
}
