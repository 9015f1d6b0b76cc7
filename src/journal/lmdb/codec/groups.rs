//! A group's record, with its filters.

use super::{Decoder, decode_group_key, put_count, put_text};
use crate::model::{Filter, FilterParts, GroupName, GroupRecord, GroupSettings, Ordering, Sequence};
use crate::update::{ChatType, KindCode};

pub(in crate::journal::lmdb) fn encode_group(out: &mut Vec<u8>, group: &GroupRecord) {
    let settings = &group.settings;
    put_text(out, group.name.as_str());
    out.extend_from_slice(&group.generation.to_be_bytes());
    out.extend_from_slice(&group.start.0.to_be_bytes());
    out.extend_from_slice(&group.created.0.to_be_bytes());
    out.extend_from_slice(&settings.max_failures.to_be_bytes());
    for milliseconds in [
        settings.min_failure_span_ms,
        settings.backoff_initial_ms,
        settings.backoff_max_ms,
        settings.member_grace_ms,
        settings.max_lease_ms,
        settings.max_unsettled_age_ms,
    ] {
        out.extend_from_slice(&milliseconds.to_be_bytes());
    }
    out.extend_from_slice(&group.base_generation.to_be_bytes());
    out.push(ordering_code(group.ordering));
    out.push(u8::from(group.fallback));
    out.extend_from_slice(&group.paused.map_or(0, |since| since.0).to_be_bytes());
    put_count(out, group.max_ages.len());
    for (kind, age_ms) in &group.max_ages {
        out.push(kind.0);
        out.extend_from_slice(&age_ms.to_be_bytes());
    }
    put_count(out, group.filters.len());
    for (from, filter) in &group.filters {
        out.extend_from_slice(&from.0.to_be_bytes());
        encode_filter(out, filter.as_ref());
    }
}

fn ordering_code(ordering: Ordering) -> u8 {
    match ordering {
        Ordering::Chat => 0,
        Ordering::User => 1,
        Ordering::Topic => 2,
        Ordering::None => 3,
    }
}

fn ordering(code: u8) -> Option<Ordering> {
    [Ordering::Chat, Ordering::User, Ordering::Topic, Ordering::None]
        .into_iter()
        .find(|ordering| ordering_code(*ordering) == code)
}

fn encode_filter(out: &mut Vec<u8>, filter: Option<&Filter>) {
    let none = FilterParts::default();
    let parts = filter.map_or(&none, Filter::parts);
    put_count(out, parts.kinds.len());
    out.extend(parts.kinds.iter().map(|kind| kind.0));
    put_count(out, parts.chat_ids.len());
    for id in &parts.chat_ids {
        out.extend_from_slice(&id.to_be_bytes());
    }
    put_count(out, parts.chat_types.len());
    out.extend(parts.chat_types.iter().map(|chat_type| chat_type.code()));
    for words in [&parts.commands, &parts.callback_data_prefixes] {
        put_count(out, words.len());
        for word in words {
            put_text(out, word);
        }
    }
}

fn decode_filter(decoder: &mut Decoder<'_>) -> Option<Option<Filter>> {
    let parts = FilterParts {
        kinds: decoder.list(|decoder| decoder.u8().map(KindCode))?,
        chat_ids: decoder.list(Decoder::i64)?,
        chat_types: decoder.list(|decoder| ChatType::from_code(decoder.u8()?))?,
        commands: decoder.list(|decoder| decoder.text().map(Into::into))?,
        callback_data_prefixes: decoder.list(|decoder| decoder.text().map(Into::into))?,
    };
    if parts == FilterParts::default() {
        return Some(None);
    }
    Filter::recorded(parts).ok().map(Some)
}

pub(in crate::journal::lmdb) fn decode_group(key: &[u8], value: &[u8]) -> Option<GroupRecord> {
    let mut decoder = Decoder::new(value);
    let (id, name) = (decode_group_key(key)?, GroupName::parse(decoder.text()?).ok()?);
    let (generation, start, created) = (decoder.u32()?, Sequence(decoder.u64()?), decoder.time()?);
    let settings = GroupSettings {
        max_failures: decoder.u32()?,
        min_failure_span_ms: decoder.u64()?,
        backoff_initial_ms: decoder.u64()?,
        backoff_max_ms: decoder.u64()?,
        member_grace_ms: decoder.u64()?,
        max_lease_ms: decoder.u64()?,
        max_unsettled_age_ms: decoder.u64()?,
    };
    let group = GroupRecord { generation, ..GroupRecord::new(id, name, start, settings, created) };
    if decoder.is_empty() {
        // Written by format 1, which had no more.
        return Some(GroupRecord { base_generation: generation, ..group });
    }
    let group = GroupRecord {
        base_generation: decoder.u32()?,
        ordering: ordering(decoder.u8()?)?,
        fallback: decoder.flag()?,
        paused: Some(decoder.time()?).filter(|since| since.0 > 0),
        max_ages: decoder.list(|decoder| Some((KindCode(decoder.u8()?), decoder.u64()?)))?,
        filters: decoder.list(|decoder| Some((Sequence(decoder.u64()?), decode_filter(decoder)?)))?,
        ..group
    };
    decoder.end(group)
}
