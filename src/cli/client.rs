//! The gateway's API as the commands use it: one connection, who may use it, and when to try again.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use thiserror::Error;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};

use crate::config::Environment;
use crate::grpc::proto::client::admin_service_client::AdminServiceClient;
use crate::grpc::proto::client::delivery_service_client::DeliveryServiceClient;
use crate::grpc::proto::client::{AckRequest, SettleCode, SettleResult};

/// The service's client, with the access token on every call.
pub(crate) type Client = DeliveryServiceClient<InterceptedService<Channel, Access>>;

/// The admin service's client, with the access token on every call.
pub(crate) type AdminClient = AdminServiceClient<InterceptedService<Channel, Access>>;

/// Where the gateway is and how to get in.
#[derive(Args, Clone, Debug)]
pub struct ConnectArgs {
    /// The gateway's gRPC listener
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:50051", global = true)]
    pub address: String,

    /// A file with the access token (otherwise SWITCHBOARD_ACCESS_TOKEN or SWITCHBOARD_ACCESS_TOKEN_FILE)
    #[arg(long, value_name = "FILE", global = true)]
    pub access_token_file: Option<PathBuf>,
}

/// Why no connection could even be tried.
#[derive(Debug, Error)]
pub enum ConnectError {
    /// The address cannot be used.
    #[error("--address {address}: {reason}; give it as http://HOST:PORT")]
    Address {
        /// As given.
        address: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The host has no address. An address can come later, but who has just typed the name wants to know.
    #[error("--address {address}: the host cannot be found ({source})")]
    Host {
        /// As given.
        address: String,
        /// What the resolver says.
        source: std::io::Error,
    },
    /// The token's file cannot be read.
    #[error("the access token's file {file}: {source}")]
    TokenFile {
        /// Its name.
        file: PathBuf,
        /// What is wrong with it.
        source: std::io::Error,
    },
    /// There is nothing in the token's file.
    #[error("the access token's file {file} is empty: put the token in it that the gateway has")]
    EmptyTokenFile {
        /// Its name.
        file: PathBuf,
    },
    /// The token has characters that no header may have. The message does not show it.
    #[error("the access token has characters other than visible ASCII")]
    Token,
}

impl ConnectArgs {
    /// The client. Connects at the first call, and again whenever the connection is lost.
    pub(crate) fn client(&self) -> Result<Client, ConnectError> {
        let token = self.access_token()?;
        client(&self.address, token.as_deref())
    }

    /// Whether the host has an address. Later on it may be lost and come back.
    pub(crate) async fn find_host(&self) -> Result<(), ConnectError> {
        let place = self.address.split_once("://").map_or(&*self.address, |(_, place)| place);
        let authority = place.split('/').next().unwrap_or(place);
        let found = tokio::net::lookup_host(authority).await.map(|_| ());
        found.map_err(|source| ConnectError::Host { address: self.address.clone(), source })
    }

    /// The same for the service that looks into the gateway.
    pub(crate) fn admin_client(&self) -> Result<AdminClient, ConnectError> {
        let client = AdminServiceClient::with_interceptor(self.channel()?, self.access()?);
        Ok(client.max_decoding_message_size(MAX_MESSAGE_BYTES))
    }

    /// A connection of its own, which shows no access token by itself.
    pub(crate) fn channel(&self) -> Result<Channel, ConnectError> {
        channel(&self.address)
    }

    /// What puts the access token on a call.
    pub(crate) fn access(&self) -> Result<Access, ConnectError> {
        access(self.access_token()?.as_deref())
    }

    fn access_token(&self) -> Result<Option<String>, ConnectError> {
        let environment = Environment::of_process();
        let file = match &self.access_token_file {
            Some(file) => Some(file.clone()),
            None => match environment.get("SWITCHBOARD_ACCESS_TOKEN") {
                Some(token) => return Ok(Some(token.to_owned())),
                None => environment.get("SWITCHBOARD_ACCESS_TOKEN_FILE").map(PathBuf::from),
            },
        };
        let Some(file) = file else { return Ok(None) };
        match std::fs::read_to_string(&file) {
            Ok(token) if token.trim().is_empty() => Err(ConnectError::EmptyTokenFile { file }),
            Ok(token) => Ok(Some(token.trim().to_owned())),
            Err(source) => Err(ConnectError::TokenFile { file, source }),
        }
    }
}

/// A client for the gateway at `address`, with or without an access token.
pub(crate) fn client(address: &str, token: Option<&str>) -> Result<Client, ConnectError> {
    let client = DeliveryServiceClient::with_interceptor(channel(address)?, access(token)?);
    Ok(client.max_decoding_message_size(MAX_MESSAGE_BYTES))
}

fn channel(address: &str) -> Result<Channel, ConnectError> {
    let wrong = |reason: String| ConnectError::Address { address: address.to_owned(), reason };
    let url = if address.contains("://") { address.to_owned() } else { format!("http://{address}") };
    let endpoint = Endpoint::from_shared(url).map_err(|error| wrong(error.to_string()))?;
    if endpoint.uri().scheme_str() != Some("http") {
        return Err(wrong("this command speaks plain HTTP/2 only".into()));
    }
    if endpoint.uri().host().is_none_or(str::is_empty) {
        return Err(wrong("there is no host in it".into()));
    }
    if endpoint.uri().port_u16().is_none_or(|port| port == 0) {
        return Err(wrong("there is no port from 1 to 65535 in it".into()));
    }
    Ok(endpoint
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .http2_adaptive_window(true)
        .max_frame_size(MAX_FRAME_BYTES)
        .http2_keep_alive_interval(KEEP_ALIVE_INTERVAL)
        .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
        .keep_alive_while_idle(true)
        .connect_lazy())
}

fn access(token: Option<&str>) -> Result<Access, ConnectError> {
    let header = match token {
        None => None,
        Some(token) => {
            let mut header: MetadataValue<Ascii> =
                format!("Bearer {token}").parse().map_err(|_| ConnectError::Token)?;
            header.set_sensitive(true);
            Some(header)
        }
    };
    Ok(Access(header))
}

/// Puts the access token on a call.
#[derive(Clone)]
pub(crate) struct Access(Option<MetadataValue<Ascii>>);

impl Interceptor for Access {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(header) = &self.0 {
            request.metadata_mut().insert("authorization", header.clone());
        }
        Ok(request)
    }
}

/// Acks tokens, in as many calls as it takes; answers when all of them are on disk.
pub(crate) async fn ack(
    client: &mut Client,
    bot: &str,
    group: &str,
    tokens: Vec<String>,
) -> Result<Vec<SettleResult>, Status> {
    let mut results = Vec::with_capacity(tokens.len());
    let mut tokens = tokens.into_iter().peekable();
    while tokens.peek().is_some() {
        let tokens = tokens.by_ref().take(MAX_TOKENS_PER_CALL).collect();
        let request = AckRequest { bot: bot.to_owned(), group: group.to_owned(), tokens };
        results.extend(client.ack(request).await?.into_inner().results);
    }
    Ok(results)
}

/// Whether the ack of this result took effect.
pub(crate) fn applied(result: &SettleResult) -> bool {
    matches!(result.code(), SettleCode::Applied | SettleCode::AppliedLate)
}

/// Whether the same call can succeed later without anybody changing it.
pub(crate) fn is_transient(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::Unavailable
            | Code::Unknown
            | Code::Internal
            | Code::Cancelled
            | Code::DeadlineExceeded
            | Code::ResourceExhausted
    )
}

/// What this side found out about the connection, where that is why a call failed.
pub(crate) enum Fault {
    /// Nobody is there. What the system says.
    Unreachable(String),
    /// Somebody is, and broke off, or speaks another protocol.
    Broken(String),
}

/// The fault of the connection that a status tells of, if it does.
pub(crate) fn fault(status: &Status) -> Option<Fault> {
    let source = std::error::Error::source(status)?;
    let of_connection = [Code::Unavailable, Code::Unknown, Code::Internal, Code::Cancelled];
    if !of_connection.contains(&status.code()) {
        return None;
    }
    let why = deepest(source);
    let mut chain = std::iter::successors(Some(source), |error| error.source());
    let never_connected = chain.any(|error| error.is::<tonic::ConnectError>());
    Some(if never_connected { Fault::Unreachable(why) } else { Fault::Broken(why) })
}

/// Why a call got no answer, if the connection is why, and what to do about it.
pub(crate) fn unanswered(address: &str, status: &Status) -> Option<String> {
    Some(match fault(status)? {
        Fault::Unreachable(why) => format!(
            "the gateway at {address} is not reachable: {why}; is `switchboard serve` running there? --address names \
             another place"
        ),
        Fault::Broken(why) => format!(
            "no gRPC listener answers at {address} ({why}); the gateway's is on port 50051 unless its grpc.listen says \
             otherwise: name it with --address"
        ),
    })
}

/// A status in one line, for people.
pub(crate) fn describe(status: &Status) -> String {
    match std::error::Error::source(status) {
        // tonic says "transport error" and hides what it was at the end of the chain.
        Some(source) => format!("{}: {}", name(status.code()), deepest(source)),
        None => format!("{}: {}", name(status.code()), status.message()),
    }
}

/// What an error's chain ends with: usually the words of the system.
pub(crate) fn deepest(mut error: &(dyn std::error::Error + 'static)) -> String {
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

fn name(code: Code) -> &'static str {
    match code {
        Code::Unavailable => "not reachable",
        Code::Unauthenticated => "the access token is missing or wrong",
        Code::PermissionDenied => "not allowed",
        Code::NotFound => "not found",
        Code::InvalidArgument => "invalid argument",
        Code::FailedPrecondition => "refused",
        Code::Aborted => "taken over",
        other => other.description(),
    }
}

/// How long to wait before the next try: doubles up to [`MAX_BACKOFF`], begins anew after a success.
#[derive(Default)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    pub(crate) fn after_failure(&mut self) -> Duration {
        let wait = MIN_BACKOFF.saturating_mul(1 << self.failures.min(10)).min(MAX_BACKOFF);
        self.failures = self.failures.saturating_add(1);
        wait
    }

    pub(crate) fn succeeded(&mut self) {
        self.failures = 0;
    }
}

const MIN_BACKOFF: Duration = Duration::from_millis(250);
const MAX_BACKOFF: Duration = Duration::from_secs(5);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Less than what proxies on the way usually take for dead.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(30);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(10);
/// Four times HTTP/2's default: measured to carry half as much again.
const MAX_FRAME_BYTES: u32 = 64 * 1024;
/// The gateway sends about 1 MiB at a time; only a single larger update makes a larger message.
const MAX_MESSAGE_BYTES: usize = 64 * 1024 * 1024;
/// The API's limit.
pub(crate) const MAX_TOKENS_PER_CALL: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_address_may_leave_out_the_scheme_but_not_ask_for_tls() {
        assert!(client("127.0.0.1:50051", None).is_ok());
        assert!(client("http://localhost:50051", None).is_ok());
        let refused = client("https://localhost:50051", None).err().map(|error| error.to_string());
        assert!(refused.is_some_and(|text| text.contains("--address https://localhost:50051")));
        for wrong in
            ["not an address", "ftp://h:1", "localhost", "http://h", "h:99999", "h:0", ":1", "h:1:2", ""]
        {
            assert!(client(wrong, None).is_err(), "{wrong}");
        }
    }

    #[tokio::test]
    async fn a_token_that_no_header_can_carry_is_refused_without_showing_it() {
        let refused = client("127.0.0.1:1", Some("geheim\n")).err().map(|error| error.to_string());
        assert!(refused.is_some_and(|text| !text.contains("geheim")));
    }

    #[tokio::test]
    async fn a_token_file_without_a_token_is_said_to_be_empty() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), " \n").unwrap();
        let connect = ConnectArgs {
            address: "http://127.0.0.1:1".into(),
            access_token_file: Some(file.path().to_owned()),
        };
        let refused = connect.admin_client().err().map(|error| error.to_string());
        assert!(refused.is_some_and(|text| text.contains("is empty")));
    }

    #[test]
    fn backoff_doubles_to_its_limit_and_begins_anew_after_a_success() {
        let mut backoff = Backoff::default();
        assert_eq!(backoff.after_failure(), Duration::from_millis(250));
        assert_eq!(backoff.after_failure(), Duration::from_millis(500));
        for _ in 0..40 {
            backoff.after_failure();
        }
        assert_eq!(backoff.after_failure(), MAX_BACKOFF);
        backoff.succeeded();
        assert_eq!(backoff.after_failure(), MIN_BACKOFF);
    }
}
