//! Filters, between the API and the model.

use super::fields::{InvalidField, invalid};
use super::nearest::nearest;
use super::proto::server as pb;
use crate::model::{Filter, FilterParts, InvalidFilter};
use crate::update::{ChatType, KindCode};

/// The filter of a message at `path` in its request; `None` where no field is set.
pub(super) fn parse(path: &'static str, filter: &pb::Filter) -> Result<Option<Filter>, InvalidField> {
    let field = |name: &str| format!("{path}.{name}");
    let parts = FilterParts {
        kinds: kinds(&field("kinds"), &filter.kinds)?,
        chat_ids: filter.chat_ids.clone(),
        chat_types: filter
            .chat_types
            .iter()
            .map(|name| {
                let known = || ChatType::ALL.map(ChatType::name).join(", ");
                ChatType::from_name(name).ok_or_else(|| {
                    invalid(field("chat_types"), format!("has `{name}`; there are {}", known()))
                })
            })
            .collect::<Result<_, _>>()?,
        commands: filter.commands.iter().map(|word| word.as_str().into()).collect(),
        callback_data_prefixes: filter
            .callback_data_prefixes
            .iter()
            .map(|word| word.as_str().into())
            .collect(),
    };
    match Filter::new(parts) {
        Ok(filter) => Ok(Some(filter)),
        Err(InvalidFilter::Empty) => Ok(None),
        Err(error) => {
            let at = error.field().map_or_else(|| path.to_owned(), field);
            Err(invalid(at, error.to_string()))
        }
    }
}

/// Kinds by their names; `unknown` is one.
pub(super) fn kinds(path: &str, names: &[String]) -> Result<Vec<KindCode>, InvalidField> {
    let kind = |name: &String| {
        if name == KindCode::UNKNOWN.name() {
            return Ok(KindCode::UNKNOWN);
        }
        KindCode::from_name(name).ok_or_else(|| {
            let near = nearest(name, KindCode::known().map(KindCode::name));
            let near = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
            invalid(path.to_owned(), format!("has `{name}`, which is no kind of update{near}"))
        })
    };
    names.iter().map(kind).collect()
}

/// The message of a filter.
pub(super) fn message(filter: &Filter) -> pb::Filter {
    let FilterParts { kinds, chat_ids, chat_types, commands, callback_data_prefixes } = filter.parts();
    pb::Filter {
        kinds: kinds.iter().map(|kind| kind.name().to_owned()).collect(),
        chat_ids: chat_ids.clone(),
        chat_types: chat_types.iter().map(|chat_type| chat_type.name().to_owned()).collect(),
        commands: commands.iter().map(|word| word.to_string()).collect(),
        callback_data_prefixes: callback_data_prefixes.iter().map(|word| word.to_string()).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_survives_its_message() {
        let filter = pb::Filter {
            kinds: vec!["callback_query".into(), "message".into(), "unknown".into()],
            chat_ids: vec![5, -100],
            chat_types: vec!["private".into()],
            commands: vec!["start".into()],
            callback_data_prefixes: vec!["order:".into()],
        };
        let parsed = parse("filter", &filter).unwrap().unwrap();
        assert_eq!(parse("filter", &message(&parsed)).unwrap(), Some(parsed));
        assert_eq!(parse("filter", &pb::Filter::default()).unwrap(), None);
    }

    #[test]
    fn a_wrong_field_is_named_with_what_would_be_right() {
        let wrong = |filter: pb::Filter| parse("group.filter", &filter).unwrap_err().to_string();
        let kind = wrong(pb::Filter { kinds: vec!["mesage".into()], ..Default::default() });
        assert_eq!(
            kind,
            "`group.filter.kinds` has `mesage`, which is no kind of update; did you mean `message`?"
        );
        let chat_type = wrong(pb::Filter { chat_types: vec!["dm".into()], ..Default::default() });
        assert!(chat_type.contains("private, group, supergroup, channel"), "{chat_type}");
        let never = pb::Filter { kinds: vec!["poll".into()], chat_ids: vec![1], ..Default::default() };
        assert!(wrong(never).starts_with("`group.filter` can never match"));
    }
}
