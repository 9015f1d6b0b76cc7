//! `switchboard health`: whether a gateway works, for healthchecks and for people.

mod round_trip;

use std::borrow::Cow;
use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use thiserror::Error;
use tonic::transport::Channel;
use tonic::{Code, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

use super::admin::failure::Failure;
use super::client::{ConnectArgs, ConnectError};
use super::complain;
use super::control::{Control, ControlError};
use super::exit::Exit;
use crate::config::units;
use round_trip::RoundTrip;

/// Ask a gateway whether it works
///
/// Asks its health service, which needs no access token; more on demand. Prints a line for each thing that works and
/// ends with the first that does not. Telegram's state is no part of it: `switchboard bots` shows that.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXIT_CODES)]
pub struct HealthArgs {
    #[command(flatten)]
    connect: ConnectArgs,

    /// Ask for the list of services, too, as grpcurl does
    #[arg(long)]
    reflection: bool,

    /// Let this simulator, which the gateway has for Telegram, send each bot a message, and see it arrive
    ///
    /// The message is in a chat of its own, and is followed in a group of its own that ends with the command; groups
    /// without a filter get it, too.
    #[arg(long, value_name = "URL")]
    simulator: Option<String>,

    /// How long all of it may take
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = units::duration)]
    timeout: Duration,
}

/// Those of [`Exit`] that this command can end with.
const EXIT_CODES: &str = "\
Exit codes:
  0    it works
  1    something is wrong that waiting does not mend
  2    the command line is wrong
  7    the gateway cannot be reached, is stopping, or took too long; the same may work later
  8    the access token is missing or wrong
  141  nobody reads the output any more";

/// The services that a gateway has.
const SERVICES: [&str; 2] = ["switchboard.v1.DeliveryService", "switchboard.v1.AdminService"];

/// What is wrong.
#[derive(Debug, Error)]
enum HealthError {
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error(transparent)]
    Gateway(#[from] Failure),
    #[error(
        "the gateway at {address} says {}: it is stopping, and takes no new work; its log says why",
        .status.as_str_name()
    )]
    NotServing { address: String, status: ServingStatus },
    #[error(
        "reflection at {address} does not list {missing}: what answers there is no gateway, or one of another release"
    )]
    Services { address: String, missing: &'static str },
    #[error("the gateway ended the stream without a word; its log says why")]
    Ended,
    #[error(transparent)]
    Simulator(#[from] ControlError),
    #[error(
        "bot {bot} delivered something else than the simulator sent: {got:?} in place of one of {sent:?}"
    )]
    Differs { bot: String, got: String, sent: Vec<String> },
    #[error("the ack of bot {bot}'s message was answered {code}, not SETTLE_CODE_APPLIED")]
    NotApplied { bot: String, code: &'static str },
    #[error("no random bytes from the operating system: {0}")]
    Random(getrandom::Error),
    #[error("nothing in {timeout:?} (--timeout) while {doing}")]
    Late { timeout: Duration, doing: Cow<'static, str> },
    #[error("cannot print: {0}")]
    Print(#[from] std::io::Error),
}

impl From<Status> for HealthError {
    fn from(status: Status) -> Self {
        Self::Gateway(Failure::from(status))
    }
}

impl HealthError {
    fn words(&self, address: &str) -> String {
        match self {
            Self::Gateway(failure) => failure.words(address),
            error => error.to_string(),
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Connect(_) => Exit::Config,
            Self::Gateway(failure) => failure.exit(),
            Self::Simulator(error) => error.exit(),
            Self::NotServing { .. } | Self::Ended | Self::Late { .. } => Exit::Unavailable,
            Self::Services { .. } | Self::Differs { .. } | Self::NotApplied { .. } | Self::Random(_) => {
                Exit::Failed
            }
            Self::Print(error) => Exit::after_output(error),
        }
    }
}

/// Asks, one thing after another.
pub async fn run(args: HealthArgs) -> ExitCode {
    let mut checkup = Checkup { doing: Cow::Borrowed("connecting") };
    let in_time = tokio::time::timeout(args.timeout, checkup.run(&args)).await;
    let healthy =
        in_time.unwrap_or_else(|_| Err(HealthError::Late { timeout: args.timeout, doing: checkup.doing }));
    let exit = match healthy {
        Ok(()) => Exit::Done,
        Err(error) => {
            let exit = error.exit();
            if exit != Exit::Unread {
                complain("health", &error.words(&args.connect.address));
            }
            exit
        }
    };
    exit.into()
}

struct Checkup {
    /// What is under way, as it follows "while".
    doing: Cow<'static, str>,
}

impl Checkup {
    async fn run(&mut self, args: &HealthArgs) -> Result<(), HealthError> {
        let address = &args.connect.address;
        let channel = args.connect.channel()?;
        self.doing = format!("asking {address} for its health").into();
        health(channel.clone(), address).await?;
        good(&format!("health: {address} is SERVING"))?;
        if args.reflection {
            self.doing = format!("asking {address} for its services").into();
            reflection(channel, args).await?;
            good(&format!("reflection: there are {}", SERVICES.join(" and ")))?;
        }
        if let Some(url) = &args.simulator {
            self.doing = format!(
                "waiting for a message of the simulator at {url}: is it what this gateway has for Telegram \
                 (telegram.api_url)?"
            )
            .into();
            let (delivery, admin) = (args.connect.client()?, args.connect.admin_client()?);
            RoundTrip::new(delivery, admin, Control::new(url)?)?.run().await?;
        }
        Ok(())
    }
}

/// Says what works.
fn good(what: &str) -> Result<(), HealthError> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "ok  {what}")?;
    Ok(out.flush()?)
}

async fn health(channel: Channel, address: &str) -> Result<(), HealthError> {
    // The empty name is the whole gateway.
    let request = HealthCheckRequest { service: String::new() };
    let status = HealthClient::new(channel).check(request).await?.into_inner().status();
    match status {
        ServingStatus::Serving => Ok(()),
        _ => Err(HealthError::NotServing { address: address.to_owned(), status }),
    }
}

async fn reflection(channel: Channel, args: &HealthArgs) -> Result<(), HealthError> {
    let mut client = ServerReflectionClient::with_interceptor(channel, args.connect.access()?);
    let message_request = Some(MessageRequest::ListServices(String::new()));
    let request = ServerReflectionRequest { host: String::new(), message_request };
    let mut answers = client.server_reflection_info(tokio_stream::once(request)).await?.into_inner();
    let answer = answers.message().await?.and_then(|answer| answer.message_response);
    let listed = match answer {
        Some(MessageResponse::ListServicesResponse(listed)) => listed.service,
        Some(MessageResponse::ErrorResponse(error)) => {
            return Err(Status::new(Code::from_i32(error.error_code), error.error_message).into());
        }
        _ => Vec::new(),
    };
    match SERVICES.into_iter().find(|wanted| !listed.iter().any(|service| service.name == *wanted)) {
        None => Ok(()),
        Some(missing) => Err(HealthError::Services { address: args.connect.address.clone(), missing }),
    }
}
