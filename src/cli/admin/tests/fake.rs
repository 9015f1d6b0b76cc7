//! An AdminService with scripted answers, on a loopback port.

use std::collections::HashMap;
use std::ffi::OsString;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use prost::Message;
use tokio::net::TcpListener;
use tokio_stream::Stream;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

use super::Written;
use crate::cli::admin::console::Console;
use crate::cli::admin::{AdminCommand, run_on};
use crate::cli::exit::Exit;
use crate::cli::{Cli, Command};
use crate::grpc::proto::server;
use crate::grpc::proto::server::admin_service_server::{AdminService, AdminServiceServer};

/// A call's answers, encoded: on the wire the client's types and the server's are the same.
type Answer = Box<dyn FnMut(&[u8]) -> Vec<Result<Vec<u8>, Status>> + Send>;

/// What the service answers.
#[derive(Clone, Default)]
pub(in crate::cli::admin) struct Fake {
    answers: Arc<Mutex<HashMap<&'static str, Answer>>>,
    calls: Arc<Mutex<Vec<&'static str>>>,
}

impl Fake {
    /// A method's answer.
    pub(in crate::cli::admin) fn on<Req: Message + Default, Res: Message>(
        self,
        method: &'static str,
        mut answer: impl FnMut(Req) -> Result<Res, Status> + Send + 'static,
    ) -> Self {
        self.on_stream(method, move |request| vec![answer(request)])
    }

    /// The answers of a method that streams.
    pub(in crate::cli::admin) fn on_stream<Req: Message + Default, Res: Message>(
        self,
        method: &'static str,
        mut answers: impl FnMut(Req) -> Vec<Result<Res, Status>> + Send + 'static,
    ) -> Self {
        let answer = move |request: &[u8]| -> Vec<Result<Vec<u8>, Status>> {
            let answers = answers(Req::decode(request).unwrap());
            answers.into_iter().map(|answer| answer.map(|answer| answer.encode_to_vec())).collect()
        };
        self.answers.lock().unwrap().insert(method, Box::new(answer));
        self
    }

    /// Listens until the test ends.
    pub(in crate::cli::admin) async fn start(self) -> Gateway {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let calls = Arc::clone(&self.calls);
        let server = tonic::transport::Server::builder().add_service(AdminServiceServer::new(self));
        tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        Gateway { address, calls }
    }

    fn answer<Req: Message, Res: Message + Default>(
        &self,
        method: &'static str,
        request: &Req,
    ) -> Vec<Result<Res, Status>> {
        self.calls.lock().unwrap().push(method);
        let mut answers = self.answers.lock().unwrap();
        let Some(answer) = answers.get_mut(method) else {
            return vec![Err(Status::unimplemented("not in this test"))];
        };
        let encoded = answer(&request.encode_to_vec());
        encoded.into_iter().map(|answer| Ok(Res::decode(answer?.as_slice()).unwrap())).collect()
    }
}

/// The fake at its address.
pub(in crate::cli::admin) struct Gateway {
    address: String,
    calls: Arc<Mutex<Vec<&'static str>>>,
}

/// How a command ended, and what it said.
#[derive(Debug)]
pub(in crate::cli::admin) struct Ran {
    pub(in crate::cli::admin) exit: Exit,
    pub(in crate::cli::admin) out: String,
    pub(in crate::cli::admin) notes: String,
}

impl Gateway {
    /// Whatever is at this address.
    pub(super) fn at(address: String) -> Self {
        Self { address, calls: Arc::default() }
    }

    /// Runs a command line, with nobody to answer questions.
    pub(in crate::cli::admin) async fn run(&self, line: &[&str]) -> Ran {
        self.run_with(line, None).await
    }

    /// The same, with somebody who answers so.
    pub(in crate::cli::admin) async fn run_with(&self, line: &[&str], answers: Option<&'static str>) -> Ran {
        let (out, notes) = (Written::default(), Written::default());
        let console = Console::new(out.clone(), notes.clone(), answers);
        let exit = run_on(self.command(line), console).await;
        Ran { exit, out: out.text(), notes: notes.text() }
    }

    /// The command that a line names, at this gateway.
    pub(in crate::cli::admin) fn command(&self, line: &[&str]) -> AdminCommand {
        parsed(&[line, &["--address", &self.address]].concat()).unwrap()
    }

    /// The methods that were called, in order.
    pub(in crate::cli::admin) fn calls(&self) -> Vec<&'static str> {
        self.calls.lock().unwrap().clone()
    }
}

/// The command that a line names.
pub(super) fn parsed(line: &[&str]) -> Result<AdminCommand, clap::Error> {
    let line = std::iter::once(&"switchboard").chain(line).map(OsString::from);
    match <Cli as clap::Parser>::try_parse_from(line)?.command {
        Command::Admin(command) => Ok(*command),
        other => panic!("{other:?} is no admin command"),
    }
}

type Streamed<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

fn first<T>(answers: Vec<Result<T, Status>>) -> Result<Response<T>, Status> {
    answers.into_iter().next().unwrap().map(Response::new)
}

fn streamed<T: Send + 'static>(answers: Vec<Result<T, Status>>) -> Result<Response<Streamed<T>>, Status> {
    Ok(Response::new(Box::pin(tokio_stream::iter(answers))))
}

macro_rules! admin_service {
    ($($method:ident: $request:ident => $response:ident,)*) => {
        #[tonic::async_trait]
        impl AdminService for Fake {
            $(async fn $method(
                &self,
                request: Request<server::$request>,
            ) -> Result<Response<server::$response>, Status> {
                first(self.answer(stringify!($method), request.get_ref()))
            })*

            type ReplayDeadLettersStream = Streamed<server::ReplayDeadLettersResponse>;
            type ReplayUpdatesStream = Streamed<server::ReplayUpdatesResponse>;
            type BackupStream = Streamed<server::BackupResponse>;

            async fn replay_dead_letters(
                &self,
                request: Request<server::ReplayDeadLettersRequest>,
            ) -> Result<Response<Self::ReplayDeadLettersStream>, Status> {
                streamed(self.answer("replay_dead_letters", request.get_ref()))
            }

            async fn replay_updates(
                &self,
                request: Request<server::ReplayUpdatesRequest>,
            ) -> Result<Response<Self::ReplayUpdatesStream>, Status> {
                streamed(self.answer("replay_updates", request.get_ref()))
            }

            async fn backup(
                &self,
                request: Request<server::BackupRequest>,
            ) -> Result<Response<Self::BackupStream>, Status> {
                streamed(self.answer("backup", request.get_ref()))
            }
        }
    };
}

admin_service!(
    list_bots: ListBotsRequest => ListBotsResponse,
    get_bot: GetBotRequest => GetBotResponse,
    list_groups: ListGroupsRequest => ListGroupsResponse,
    get_group: GetGroupRequest => GetGroupResponse,
    create_group: CreateGroupRequest => CreateGroupResponse,
    update_group: UpdateGroupRequest => UpdateGroupResponse,
    delete_group: DeleteGroupRequest => DeleteGroupResponse,
    pause_group: PauseGroupRequest => PauseGroupResponse,
    resume_group: ResumeGroupRequest => ResumeGroupResponse,
    seek_group: SeekGroupRequest => SeekGroupResponse,
    list_dead_letters: ListDeadLettersRequest => ListDeadLettersResponse,
    purge_dead_letters: PurgeDeadLettersRequest => PurgeDeadLettersResponse,
    list_updates: ListUpdatesRequest => ListUpdatesResponse,
    get_update: GetUpdateRequest => GetUpdateResponse,
    purge_updates: PurgeUpdatesRequest => PurgeUpdatesResponse,
    list_outstanding: ListOutstandingRequest => ListOutstandingResponse,
    list_quarantined: ListQuarantinedRequest => ListQuarantinedResponse,
);
