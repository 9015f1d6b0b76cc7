//! `AdminService`.

mod backup;
mod bots;
mod bounds;
mod clock;
mod dead_letters;
mod get_update;
mod group_message;
mod groups;
mod outstanding;
mod paging;
mod purge;
mod refused;
mod replay;
mod seek;
mod selections;
mod standings;
mod stored;
mod treatment;
mod updates;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::{Mutex, Semaphore};
use tonic::{Request, Response, Status};

use super::bots::Bots;
use super::proto::server as pb;
pub(super) use backup::BackupError;
#[cfg(feature = "fuzzing")]
pub use paging::fuzz_page_token;
pub(super) use refused::{NotFound, Refused};

/// The service.
#[derive(Debug)]
pub(super) struct Admin {
    bots: Bots,
    directory: Arc<Path>,
    /// One backup at a time: each takes as much room as the journal.
    backups: Arc<Semaphore>,
    /// Held from reading a group's settings until they are changed: of two changes at once neither undoes the other.
    changing: Mutex<()>,
}

impl Admin {
    pub(super) fn new(bots: Bots, directory: PathBuf) -> Self {
        Self {
            bots,
            directory: directory.into(),
            backups: Arc::new(Semaphore::new(1)),
            changing: Mutex::new(()),
        }
    }
}

#[tonic::async_trait]
impl pb::admin_service_server::AdminService for Admin {
    type BackupStream = backup::Chunks;
    type ReplayDeadLettersStream = replay::Words<pb::ReplayDeadLettersResponse>;
    type ReplayUpdatesStream = replay::Words<pb::ReplayUpdatesResponse>;

    async fn list_bots(
        &self,
        request: Request<pb::ListBotsRequest>,
    ) -> Result<Response<pb::ListBotsResponse>, Status> {
        bots::list(&self.bots, request.into_inner()).await.map(Response::new)
    }

    async fn get_bot(
        &self,
        request: Request<pb::GetBotRequest>,
    ) -> Result<Response<pb::GetBotResponse>, Status> {
        bots::get(&self.bots, request.get_ref()).await.map(Response::new)
    }

    async fn list_groups(
        &self,
        request: Request<pb::ListGroupsRequest>,
    ) -> Result<Response<pb::ListGroupsResponse>, Status> {
        groups::list(&self.bots, request.into_inner()).await.map(Response::new)
    }

    async fn get_group(
        &self,
        request: Request<pb::GetGroupRequest>,
    ) -> Result<Response<pb::GetGroupResponse>, Status> {
        groups::get(&self.bots, request.get_ref()).await.map(Response::new)
    }

    async fn create_group(
        &self,
        request: Request<pb::CreateGroupRequest>,
    ) -> Result<Response<pb::CreateGroupResponse>, Status> {
        groups::create(&self.bots, request.into_inner()).await.map(Response::new)
    }

    async fn update_group(
        &self,
        request: Request<pb::UpdateGroupRequest>,
    ) -> Result<Response<pb::UpdateGroupResponse>, Status> {
        let _changing = self.changing.lock().await;
        groups::update(&self.bots, request.into_inner()).await.map(Response::new)
    }

    async fn delete_group(
        &self,
        request: Request<pb::DeleteGroupRequest>,
    ) -> Result<Response<pb::DeleteGroupResponse>, Status> {
        groups::delete(&self.bots, request.get_ref()).await.map(Response::new)
    }

    async fn pause_group(
        &self,
        request: Request<pb::PauseGroupRequest>,
    ) -> Result<Response<pb::PauseGroupResponse>, Status> {
        groups::pause(&self.bots, request.get_ref()).await.map(Response::new)
    }

    async fn resume_group(
        &self,
        request: Request<pb::ResumeGroupRequest>,
    ) -> Result<Response<pb::ResumeGroupResponse>, Status> {
        groups::resume(&self.bots, request.get_ref()).await.map(Response::new)
    }

    async fn seek_group(
        &self,
        request: Request<pb::SeekGroupRequest>,
    ) -> Result<Response<pb::SeekGroupResponse>, Status> {
        seek::seek(&self.bots, request.get_ref()).await.map(Response::new)
    }

    async fn list_dead_letters(
        &self,
        request: Request<pb::ListDeadLettersRequest>,
    ) -> Result<Response<pb::ListDeadLettersResponse>, Status> {
        dead_letters::list(&self.bots, request.into_inner()).await.map(Response::new)
    }

    async fn replay_dead_letters(
        &self,
        request: Request<pb::ReplayDeadLettersRequest>,
    ) -> Result<Response<Self::ReplayDeadLettersStream>, Status> {
        replay::dead_letters(&self.bots, request.into_inner()).await.map(Response::new)
    }

    async fn purge_dead_letters(
        &self,
        request: Request<pb::PurgeDeadLettersRequest>,
    ) -> Result<Response<pb::PurgeDeadLettersResponse>, Status> {
        dead_letters::purge(&self.bots, request.get_ref()).await.map(Response::new)
    }

    async fn list_updates(
        &self,
        request: Request<pb::ListUpdatesRequest>,
    ) -> Result<Response<pb::ListUpdatesResponse>, Status> {
        updates::list(&self.bots, request.into_inner()).await.map(Response::new)
    }

    async fn get_update(
        &self,
        request: Request<pb::GetUpdateRequest>,
    ) -> Result<Response<pb::GetUpdateResponse>, Status> {
        get_update::get(&self.bots, request.get_ref()).await.map(Response::new)
    }

    async fn replay_updates(
        &self,
        request: Request<pb::ReplayUpdatesRequest>,
    ) -> Result<Response<Self::ReplayUpdatesStream>, Status> {
        replay::updates(&self.bots, request.into_inner()).await.map(Response::new)
    }

    async fn purge_updates(
        &self,
        request: Request<pb::PurgeUpdatesRequest>,
    ) -> Result<Response<pb::PurgeUpdatesResponse>, Status> {
        purge::purge(&self.bots, request.get_ref()).await.map(Response::new)
    }

    async fn list_outstanding(
        &self,
        request: Request<pb::ListOutstandingRequest>,
    ) -> Result<Response<pb::ListOutstandingResponse>, Status> {
        outstanding::list(&self.bots, request.into_inner()).await.map(Response::new)
    }

    async fn list_quarantined(
        &self,
        request: Request<pb::ListQuarantinedRequest>,
    ) -> Result<Response<pb::ListQuarantinedResponse>, Status> {
        updates::list_quarantined(&self.bots, request.into_inner()).await.map(Response::new)
    }

    async fn backup(
        &self,
        request: Request<pb::BackupRequest>,
    ) -> Result<Response<Self::BackupStream>, Status> {
        backup::backup(self, request.get_ref()).map(Response::new)
    }
}
