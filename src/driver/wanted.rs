//! Which kinds of updates the groups of a bot want.

use std::collections::BTreeSet;

use crate::model::GroupRecord;
use crate::update::KindCode;

/// The kinds of updates that the durable groups of a bot want.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedKinds {
    /// Whether some group wants all that Telegram sends unasked; so also while there is no group.
    pub default_kinds: bool,
    /// Kinds that filters name, ascending.
    pub named: Vec<KindCode>,
}

impl Default for WantedKinds {
    fn default() -> Self {
        Self { default_kinds: true, named: Vec::new() }
    }
}

impl WantedKinds {
    /// What these groups want together.
    pub(super) fn of<'a>(groups: impl Iterator<Item = &'a GroupRecord>) -> Self {
        let mut named = BTreeSet::new();
        let (mut any, mut default_kinds) = (false, false);
        for group in groups {
            any = true;
            let kinds = group.filter().map_or(&[][..], |filter| filter.kinds());
            // A kind that this release does not know cannot be asked for by name: it is among all.
            default_kinds |= kinds.is_empty() || kinds.contains(&KindCode::UNKNOWN);
            named.extend(kinds.iter().filter(|kind| **kind != KindCode::UNKNOWN));
        }
        Self { default_kinds: default_kinds || !any, named: named.into_iter().collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Filter, FilterParts, GroupId, GroupName, GroupSettings, Sequence, UnixMillis};

    fn group(kinds: &[KindCode]) -> GroupRecord {
        let name = GroupName::parse("g").unwrap();
        let group = GroupRecord::new(GroupId(1), name, Sequence(1), GroupSettings::default(), UnixMillis(0));
        let filter = Filter::new(FilterParts { kinds: kinds.to_vec(), ..FilterParts::default() }).ok();
        GroupRecord { filters: vec![(Sequence(1), filter)], ..group }
    }

    #[test]
    fn the_union_of_what_filters_name_and_everything_where_one_names_none() {
        let of = |groups: &[GroupRecord]| WantedKinds::of(groups.iter());
        assert_eq!(of(&[]), WantedKinds { default_kinds: true, named: vec![] });
        let polls = group(&[KindCode::POLL]);
        let members = group(&[KindCode::CHAT_MEMBER, KindCode::POLL]);
        let named = vec![KindCode::POLL, KindCode::CHAT_MEMBER];
        assert_eq!(
            of(&[polls.clone(), members.clone()]),
            WantedKinds { default_kinds: false, named: named.clone() }
        );
        assert_eq!(of(&[polls, members, group(&[])]), WantedKinds { default_kinds: true, named });
        assert!(of(&[group(&[KindCode::UNKNOWN])]).default_kinds);
    }
}
