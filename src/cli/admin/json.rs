//! The API's messages as JSON, by the standard mapping (proto3 JSON), one object a line.

use std::sync::LazyLock;

use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, SerializeOptions};

use crate::grpc::proto::DESCRIPTORS;
use crate::grpc::proto::client;

/// A message with its name in `switchboard.v1`.
pub(super) trait ApiMessage: Message {
    /// The name.
    const NAME: &'static str;
}

macro_rules! api_messages {
    ($($name:ident),* $(,)?) => {
        $(impl ApiMessage for client::$name {
            const NAME: &'static str = concat!("switchboard.v1.", stringify!($name));
        })*

        #[cfg(test)]
        const NAMES: &[&str] = &[$(<client::$name as ApiMessage>::NAME),*];
    };
}

api_messages!(
    Bot,
    Group,
    StoredUpdate,
    DeadLetter,
    OutstandingDelivery,
    QuarantinedElement,
    GetUpdateResponse,
    DeleteGroupResponse,
    SeekGroupResponse,
    ReplayDeadLettersResponse,
    ReplayUpdatesResponse,
    PurgeDeadLettersResponse,
    PurgeUpdatesResponse,
);

/// A message does not fit the API's own description: only a fault in this program can do that.
#[derive(Debug, thiserror::Error)]
#[error("{name} cannot be printed as JSON: {problem}")]
pub(in crate::cli) struct JsonError {
    name: &'static str,
    problem: String,
}

/// The message in one line. Fields that have their default are printed, too, so that scripts need not know defaults;
/// what is absent is left out.
pub(super) fn line<M: ApiMessage>(message: &M) -> Result<String, JsonError> {
    let failed = |problem: String| JsonError { name: M::NAME, problem };
    let pool = POOL.as_ref().map_err(|problem| failed(problem.clone()))?;
    let descriptor = pool.get_message_by_name(M::NAME).ok_or_else(|| failed("no such message".into()))?;
    let message = DynamicMessage::decode(descriptor, message.encode_to_vec().as_slice())
        .map_err(|error| failed(error.to_string()))?;
    let mut line = Vec::new();
    message
        .serialize_with_options(
            &mut serde_json::Serializer::new(&mut line),
            &SerializeOptions::new().skip_default_fields(false),
        )
        .map_err(|error| failed(error.to_string()))?;
    String::from_utf8(line).map_err(|error| failed(error.to_string()))
}

static POOL: LazyLock<Result<DescriptorPool, String>> =
    LazyLock::new(|| DescriptorPool::decode(DESCRIPTORS).map_err(|error| error.to_string()));

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn every_message_that_is_printed_is_described() {
        let pool = POOL.as_ref().unwrap();
        for name in NAMES {
            assert!(pool.get_message_by_name(name).is_some(), "{name}");
        }
    }

    #[test]
    fn it_is_the_standard_mapping_with_defaults_and_without_what_is_absent() {
        let group = client::Group {
            bot: "default".into(),
            name: "orders".into(),
            ordering: client::Ordering::Topic.into(),
            start_sequence: 9_007_199_254_740_993,
            create_time: Some(prost_types::Timestamp { seconds: 0, nanos: 0 }),
            settings: Some(client::GroupSettings {
                max_age: [("callback_query".to_owned(), prost_types::Duration { seconds: 150, nanos: 0 })]
                    .into(),
                ..client::GroupSettings::default()
            }),
            ..client::Group::default()
        };
        let line = line(&group).unwrap();
        let value: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(value["startSequence"], json!("9007199254740993"));
        assert_eq!(value["ordering"], json!("ORDERING_TOPIC"));
        assert_eq!(value["createTime"], json!("1970-01-01T00:00:00Z"));
        assert_eq!(value["settings"]["maxAge"]["callback_query"], json!("150s"));
        assert_eq!(value["fallback"], json!(false));
        assert!(value.get("pauseTime").is_none(), "{line}");
        assert!(value["settings"].get("maxFailures").is_none(), "{line}");
        assert!(!line.contains('\n'));
    }
}
