//! `switchboard demo`: everything on one machine, a handler killed in the middle of its work, and the proof that nothing
//! was lost and every chat was in order.

mod handler;
mod story;
mod view;

use std::ops::RangeInclusive;
use std::process::{ExitCode, Stdio};
use std::time::{Duration, Instant};

use clap::{Args, Subcommand};
use thiserror::Error;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdin};
use tokio::sync::mpsc;

use self::handler::{Did, HandlerArgs};
use self::story::Story;
use self::view::{Standing, View};
use super::exit::Exit;
use super::processes::{
    Gateway, GatewaySettings, ProcessError, TemporaryDirectory, free_addresses, own_command,
};
use super::simulation::Simulation;
use super::{clock, complain, signals};
use crate::config::units;
use crate::simulator::Traffic;

/// See it run: a simulated Telegram, a gateway, and handlers one of which is killed
///
/// Needs no token and no configuration, and leaves nothing behind. Ends by itself with a summary; the exit code is 0
/// only if every update was handled in every group and each chat was in order.
#[derive(Args, Clone, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub struct DemoArgs {
    #[command(subcommand)]
    role: Option<Role>,

    /// How long it goes on: 30s, 2m, or a number of seconds; from 3s to 1d
    #[arg(long, default_value = "20s", value_parser = duration)]
    duration: Duration,

    /// Updates a second
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=200))]
    rate: u32,

    /// Chats that the updates come from
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u32).range(1..=200))]
    chats: u32,

    /// The gateway's gRPC port [default: a free one]
    #[arg(long, value_name = "PORT")]
    grpc_port: Option<u16>,
}

fn duration(text: &str) -> Result<Duration, String> {
    let seconds = text.bytes().all(|byte| byte.is_ascii_digit()).then(|| format!("{text}s"));
    let duration = units::duration(seconds.as_deref().unwrap_or(text))?;
    if DURATIONS.contains(&duration) { Ok(duration) } else { Err("from 3s to 1d".into()) }
}

#[derive(Clone, Debug, Subcommand)]
enum Role {
    #[command(hide = true)]
    Handler(HandlerArgs),
}

#[derive(Debug, Error)]
enum DemoError {
    #[error(transparent)]
    Process(#[from] ProcessError),
    #[error("the simulator: {0}")]
    Simulator(std::io::Error),
    #[error("cannot start a handler: {0}")]
    Handler(std::io::Error),
    #[error("interrupted")]
    Interrupted,
    #[error("cannot print: {0}")]
    Print(std::io::Error),
}

/// Runs the command.
pub async fn run(args: DemoArgs) -> ExitCode {
    if let Some(Role::Handler(args)) = args.role {
        return handler::run(args).await;
    }
    let outcome = tokio::select! {
        outcome = demo(&args) => outcome,
        _ = signals::stop_requested() => Err(DemoError::Interrupted),
    };
    let exit = match outcome {
        Ok(true) => Exit::Done,
        Ok(false) => Exit::Failed,
        // Who has closed the pipe has seen enough.
        Err(DemoError::Print(error)) if Exit::after_output(&error) == Exit::Unread => Exit::Unread,
        Err(error) => {
            complain("demo", &error);
            Exit::Failed
        }
    };
    exit.into()
}

async fn demo(args: &DemoArgs) -> Result<bool, DemoError> {
    let directory = TemporaryDirectory::new("demo")?;
    let simulation = Simulation::start().await.map_err(DemoError::Simulator)?;
    let [mut grpc, public, ops] = free_addresses()?;
    if let Some(port) = args.grpc_port {
        grpc.set_port(port);
    }
    let data = directory.path().to_owned();
    let environment = vec![("SWITCHBOARD_MODE".to_owned(), "polling".to_owned())];
    let settings = GatewaySettings { telegram: simulation.url(), grpc, public, ops, data, environment };
    let mut gateway = Gateway::spawn(&settings)?;
    gateway.ready().await?;

    let mut stage = Stage::new(args, grpc.to_string(), simulation);
    stage.view.print(&format!(
        "A simulated Telegram sends {} updates a second of {} chats. The gateway hands them to two groups:\n\
         `orders`, whose three handlers share the chats, and `audit`, whose one handler gets them all too.\n\
         Try meanwhile, in another terminal:\n\n  \
         grpcurl -plaintext -d '{{\"group\":\"try\",\"start_earliest\":true}}' {grpc} \
         switchboard.v1.DeliveryService/Subscribe\n\n",
        args.rate, args.chats
    ));
    for (group, consumer) in CAST {
        stage.enter(group, consumer)?;
    }
    stage.play().await?;
    let handlers = stage.curtain().await;
    let stopped = gateway.stop().await;
    let holds = stage.summary(handlers && stopped.is_ok());
    stage.view.printed().map_err(DemoError::Print)?;
    Ok(holds)
}

/// The running demo.
struct Stage<'a> {
    args: &'a DemoArgs,
    address: String,
    simulation: Simulation,
    began: Instant,
    players: Vec<Player>,
    story: Story,
    view: View,
    said: mpsc::UnboundedSender<(&'static str, &'static str, Did)>,
    hear: mpsc::UnboundedReceiver<(&'static str, &'static str, Did)>,
}

struct Player {
    consumer: &'static str,
    child: Child,
    /// Dropping it asks the handler to leave.
    input: Option<ChildStdin>,
}

impl<'a> Stage<'a> {
    fn new(args: &'a DemoArgs, address: String, simulation: Simulation) -> Self {
        let (said, hear) = mpsc::unbounded_channel();
        let view = View::new(&GROUPS);
        let (players, story, began) = (Vec::new(), Story::default(), clock::now());
        Self { args, address, simulation, began, players, story, view, said, hear }
    }

    /// Starts a handler.
    fn enter(&mut self, group: &'static str, consumer: &'static str) -> Result<(), DemoError> {
        let mut command = own_command("a handler")?;
        command.args(["demo", "handler", "--address", &self.address]);
        command.args(["--group", group, "--consumer-id", consumer]);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().map_err(DemoError::Handler)?;
        let input = child.stdin.take();
        let output =
            child.stdout.take().ok_or_else(|| DemoError::Handler(std::io::ErrorKind::BrokenPipe.into()))?;
        let said = self.said.clone();
        tokio::spawn(async move {
            let mut lines = BufReader::new(output).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                // A line that a killed handler did not finish says nothing.
                let Ok(did) = serde_json::from_str(&line) else { continue };
                if said.send((group, consumer, did)).is_err() {
                    return;
                }
            }
        });
        self.players.push(Player { consumer, child, input });
        Ok(())
    }

    /// From the first update to the last one handled.
    async fn play(&mut self) -> Result<(), DemoError> {
        let duration = self.args.duration.as_secs_f64();
        let total = (duration * f64::from(self.args.rate) * SENDING_SHARE).ceil() as u64;
        let traffic = Traffic {
            rate: f64::from(self.args.rate),
            chats: self.args.chats,
            total: Some(total),
            size: UPDATE_BYTES,
            ..Traffic::default()
        };
        let mut sending = false;
        let mut scenes = Scenes { kill_at: Some(duration * KILL_AT), return_at: None };
        let mut draw = tokio::time::interval(if self.view.is_terminal() { FRAME } else { LINE_EVERY });
        let mut step = tokio::time::interval(STEP);
        let mut last_news = clock::now();
        loop {
            tokio::select! {
                Some((group, consumer, did)) = self.hear.recv() => {
                    last_news = clock::now();
                    self.view.did(self.seconds(), group, consumer, &did.what);
                    self.story.tell(group, consumer, did);
                }
                _ = draw.tick() => self.draw(),
                _ = step.tick() => {
                    if !sending && self.everybody_joined() {
                        // Only now, so that the three start with their shares of the chats.
                        self.simulation.send(traffic);
                        sending = true;
                    }
                    self.view.printed().map_err(DemoError::Print)?;
                    self.scene(&mut scenes).await?;
                    let sent = self.simulation.counts().accepted;
                    let all = |group: &&str| self.story.handled(group) as u64 >= total;
                    let over = scenes.is_over() && sent >= total && GROUPS.iter().all(all);
                    let given_up = last_news.elapsed() > PATIENCE;
                    if given_up || (over && self.seconds() >= duration) {
                        return Ok(());
                    }
                }
            }
        }
    }

    fn everybody_joined(&self) -> bool {
        self.story.joined() == CAST.len()
    }

    /// Kills a handler that has something in hand, and lets it come back later.
    async fn scene(&mut self, scenes: &mut Scenes) -> Result<(), DemoError> {
        let seconds = self.seconds();
        if scenes.kill_at.is_some_and(|at| seconds >= at) {
            let in_hand = self.view.in_hand(VICTIM);
            if let Some((key, update_id)) = in_hand.first() {
                scenes.kill_at = None;
                scenes.return_at = Some(seconds + self.args.duration.as_secs_f64() * RETURN_AFTER);
                self.kill(VICTIM).await?;
                let count = in_hand.len();
                let news = format!(
                    "{VICTIM} was killed with {count} in hand, update {update_id} of {key} among them; \
                     its chats wait for it for 5 s"
                );
                self.view.tell(seconds, &news);
            }
        }
        if scenes.return_at.is_some_and(|at| seconds >= at) {
            scenes.return_at = None;
            self.enter(VICTIMS_GROUP, VICTIM)?;
        }
        Ok(())
    }

    async fn kill(&mut self, consumer: &'static str) -> Result<(), DemoError> {
        let Some(at) = self.players.iter().position(|player| player.consumer == consumer) else {
            return Ok(());
        };
        let mut player = self.players.remove(at);
        player.child.kill().await.map_err(DemoError::Handler)?;
        // Taken after its end: everything it said it said before.
        self.story.killed(consumer, clock::unix_micros());
        self.view.died(consumer);
        Ok(())
    }

    /// Lets the handlers finish and go; whether all went in peace.
    async fn curtain(&mut self) -> bool {
        let mut peaceful = true;
        for mut player in self.players.drain(..) {
            drop(player.input.take());
            let ended = tokio::time::timeout(PATIENCE, player.child.wait()).await;
            peaceful &= matches!(ended, Ok(Ok(status)) if status.success());
        }
        while let Ok((group, consumer, did)) = self.hear.try_recv() {
            self.story.tell(group, consumer, did);
        }
        peaceful
    }

    fn draw(&mut self) {
        let sent = self.simulation.counts().accepted;
        let of_seconds = self.args.duration.as_secs_f64();
        self.view.draw(&Standing { seconds: self.seconds(), of_seconds, sent });
    }

    fn seconds(&self) -> f64 {
        self.began.elapsed().as_secs_f64()
    }

    /// Prints what the simulator's ledger and the handlers' words prove together; whether the promises were kept.
    fn summary(&mut self, peaceful: bool) -> bool {
        let sent = self.simulation.confirmed_ids();
        let counts = self.simulation.counts();
        let mut lines = vec![format!(
            "\nTelegram had {} updates; the gateway confirmed {}.",
            counts.accepted, counts.confirmed
        )];
        let mut holds = peaceful && counts.accepted == counts.confirmed && !sent.is_empty();
        for group in GROUPS {
            let verdict = self.story.verdict(group, &sent);
            let order = if verdict.broken.is_empty() { "each chat in order" } else { "NOT IN ORDER" };
            lines.push(format!(
                "group {group:<7} handled {} of {}, {order}; {} delivered again after the kill",
                verdict.handled,
                sent.len(),
                verdict.redelivered
            ));
            lines.extend(verdict.broken.iter().take(MOST_BROKEN).map(|broken| format!("  {broken}")));
            holds &= verdict.holds();
        }
        lines
            .push(if holds { "Nothing lost, every chat in order." } else { "FAILED: see above." }.to_owned());
        self.view.print(&(lines.join("\n") + "\n"));
        holds
    }
}

/// What is still to happen, in seconds from the beginning.
struct Scenes {
    kill_at: Option<f64>,
    return_at: Option<f64>,
}

impl Scenes {
    fn is_over(&self) -> bool {
        self.kill_at.is_none() && self.return_at.is_none()
    }
}

const GROUPS: [&str; 2] = ["orders", "audit"];
const CAST: [(&str, &str); 4] =
    [("orders", "orders-1"), ("orders", "orders-2"), ("orders", "orders-3"), ("audit", "audit-1")];
const VICTIM: &str = "orders-2";
const VICTIMS_GROUP: &str = "orders";
const DURATIONS: RangeInclusive<Duration> = Duration::from_secs(3)..=Duration::from_secs(24 * 3600);
/// Of the duration: when the kill is; how long after it the victim returns; how long updates are sent.
const KILL_AT: f64 = 0.3;
const RETURN_AFTER: f64 = 0.4;
const SENDING_SHARE: f64 = 0.8;
const UPDATE_BYTES: usize = 700;
const FRAME: Duration = Duration::from_millis(100);
const LINE_EVERY: Duration = Duration::from_secs(2);
const STEP: Duration = Duration::from_millis(50);
/// After so long without any sign something is broken.
const PATIENCE: Duration = Duration::from_secs(20);
const MOST_BROKEN: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_has_a_unit_or_is_in_seconds() {
        assert_eq!(duration("10"), Ok(Duration::from_secs(10)));
        assert_eq!(duration("10s"), Ok(Duration::from_secs(10)));
        assert_eq!(duration("1m"), Ok(Duration::from_secs(60)));
        for bad in ["", "s", "-5", "2", "2s", "2d", "1.5m", "99999999999999999999"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }
}
