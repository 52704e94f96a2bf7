//! The calls of the quota service.

use std::pin::Pin;
use std::sync::Arc;

use futures_lite::Stream;
use tonic::{Request, Response, Status};

use super::limits::{Change, ChangeError};
use super::shared_book::SharedBook;
use super::watch::{self, Slots};
use super::{messages, status};
use crate::quota::book::{Beat, BookError, ResourceView};
use crate::quota::id::Id;
use crate::quota::wire::{self, quota_server::Quota};

/// Entries of the largest page of a list.
const MAX_ENTRIES: usize = 1000;

/// Concurrent streams of observers; each holds all the shares it sent.
const MAX_OBSERVERS: usize = 32;

pub(super) struct Service {
    book: Arc<SharedBook>,
    watchers: Slots,
    observers: Slots,
}

impl Service {
    pub(super) fn new(book: Arc<SharedBook>) -> Self {
        let clients = book.with(|book, _| book.settings().most_clients);
        // A reconnected client may have a second stream before the first is known to be dead.
        Self { book, watchers: Slots::new(clients * 2), observers: Slots::new(MAX_OBSERVERS) }
    }
}

impl Service {
    /// Makes a change by hand. Returns the limit after it, if there is one.
    async fn changed(&self, resource: &Id, change: Change) -> Result<Option<wire::Resource>, Status> {
        let changed = self.book.change(resource.clone(), change).await;
        let view = changed.map_err(|error| {
            match &error {
                ChangeError::Store(error) => {
                    log::warn!(resource:%, error:%; "a limit cannot be kept: it stays as it is");
                }
                #[cfg(feature = "redis")]
                ChangeError::SharedStore(error) => {
                    log::warn!(resource:%, error:%; "a limit is not known to be kept: it stays as it is");
                }
                ChangeError::Book(_) | ChangeError::NotByHand(_) | ChangeError::NotLeader(_) => {}
            }
            status::of_change(&error)
        })?;
        Ok(view.map(|view| self.resource(&view)))
    }

    fn resource(&self, view: &ResourceView) -> wire::Resource {
        messages::resource(view, self.book.source(&view.resource))
    }
}

type Reply<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl Quota for Service {
    async fn register_client(
        &self,
        request: Request<wire::RegisterClientRequest>,
    ) -> Reply<wire::RegisterClientResponse> {
        let request = request.into_inner();
        let client = messages::id("client_id", &request.client_id)?;
        let response = self.book.leading(|book, now| {
            book.register(now, &client, &request.instance)?;
            let timeout = book.settings().heartbeat_timeout;
            Ok(wire::RegisterClientResponse {
                epoch: book.epoch(),
                heartbeat_timeout: Some(wire::duration(timeout)),
                heartbeat_interval: Some(wire::duration(timeout / 3)),
            })
        });
        response?.map(Response::new).map_err(|error| status::of_registration(&error))
    }

    async fn heartbeat(&self, request: Request<wire::HeartbeatRequest>) -> Reply<wire::HeartbeatResponse> {
        let request = request.into_inner();
        let client = messages::id("client_id", &request.client_id)?;
        let interests = messages::interests(&request)?;
        let beat = Beat {
            client: &client,
            instance: &request.instance,
            epoch: request.epoch,
            sequence: request.sequence,
            interests: &interests,
        };
        let response = self.book.granting(|book, now| {
            let answer = book.heartbeat(now, beat)?;
            let timeout = book.settings().heartbeat_timeout;
            Ok(wire::HeartbeatResponse {
                epoch: book.epoch(),
                lease: Some(wire::duration(timeout)),
                heartbeat_interval: Some(wire::duration(timeout / 3)),
                allocations: answer.allocations.iter().map(messages::allocation).collect(),
                unlimited_resource_ids: answer.unlimited.iter().map(Id::to_string).collect(),
            })
        });
        response.await?.map(Response::new).map_err(|error| status::of_book(&error))
    }

    async fn get_allocation(&self, request: Request<wire::GetAllocationRequest>) -> Reply<wire::Allocation> {
        let request = request.into_inner();
        let client = messages::id("client_id", &request.client_id)?;
        let resource = messages::id("resource_id", &request.resource_id)?;
        let allocation = self
            .book
            .granting(|book, now| book.allocation(now, &client, &request.instance, &resource))
            .await?;
        let allocation = allocation.map_err(|error| status::of_book(&error))?;
        Ok(Response::new(messages::allocation(&allocation)))
    }

    async fn set_resource_limit(
        &self,
        request: Request<wire::SetResourceLimitRequest>,
    ) -> Reply<wire::Resource> {
        let request = request.into_inner();
        let resource = messages::id("resource_id", &request.resource_id)?;
        let limit = messages::limit(request.rate_limit)?;
        let view = self.changed(&resource, Change::Set(limit)).await?;
        log::info!(resource:%, limit:%; "limit set");
        view.map(Response::new).ok_or_else(|| status::of_book(&BookError::NoLimit(resource)))
    }

    async fn get_resource(&self, request: Request<wire::GetResourceRequest>) -> Reply<wire::Resource> {
        let resource = messages::id("resource_id", &request.into_inner().resource_id)?;
        let view = self.book.leading(|book, now| book.resource(now, &resource))?;
        let view = view.map_err(|error| status::of_book(&error))?;
        Ok(Response::new(self.resource(&view)))
    }

    async fn unregister_client(
        &self,
        request: Request<wire::UnregisterClientRequest>,
    ) -> Reply<wire::UnregisterClientResponse> {
        let request = request.into_inner();
        let client = messages::id("client_id", &request.client_id)?;
        let left = self.book.leading(|book, now| book.unregister(now, &client, &request.instance))?;
        left.map_err(|error| status::of_book(&error))?;
        Ok(Response::new(wire::UnregisterClientResponse {}))
    }

    async fn list_resources(
        &self,
        request: Request<wire::ListResourcesRequest>,
    ) -> Reply<wire::ListResourcesResponse> {
        let request = request.into_inner();
        let (after, most) = page(&request.page_token, request.page_size)?;
        let resources = self.book.leading(|book, now| book.resources(now, after.as_ref(), most))?;
        let next = resources.last().filter(|_| resources.len() == most);
        Ok(Response::new(wire::ListResourcesResponse {
            next_page_token: next.map_or_else(String::new, |last| last.resource.to_string()),
            resources: resources.iter().map(|view| self.resource(view)).collect(),
        }))
    }

    async fn list_clients(
        &self,
        request: Request<wire::ListClientsRequest>,
    ) -> Reply<wire::ListClientsResponse> {
        let request = request.into_inner();
        let (after, most) = page(&request.page_token, request.page_size)?;
        let clients = self.book.leading(|book, now| book.clients(now, after.as_ref(), most))?;
        let next = clients.last().filter(|_| clients.len() == most);
        Ok(Response::new(wire::ListClientsResponse {
            next_page_token: next.map_or_else(String::new, |last| last.client.to_string()),
            clients: clients.iter().map(messages::client).collect(),
        }))
    }

    async fn delete_resource_limit(
        &self,
        request: Request<wire::DeleteResourceLimitRequest>,
    ) -> Reply<wire::DeleteResourceLimitResponse> {
        let resource = messages::id("resource_id", &request.into_inner().resource_id)?;
        self.changed(&resource, Change::Delete).await?;
        log::info!(resource:%; "limit deleted");
        let is_lasting = self.book.limits.is_lasting();
        Ok(Response::new(wire::DeleteResourceLimitResponse { is_lasting }))
    }

    async fn reset_resource_limit(
        &self,
        request: Request<wire::ResetResourceLimitRequest>,
    ) -> Reply<wire::ResetResourceLimitResponse> {
        let resource = messages::id("resource_id", &request.into_inner().resource_id)?;
        let view = self.changed(&resource, Change::Reset).await?;
        log::info!(resource:%; "limit reset");
        Ok(Response::new(wire::ResetResourceLimitResponse { resource: view }))
    }

    type WatchAllocationsStream = Pin<Box<dyn Stream<Item = Result<wire::AllocationChanges, Status>> + Send>>;

    async fn watch_allocations(
        &self,
        request: Request<wire::WatchAllocationsRequest>,
    ) -> Reply<Self::WatchAllocationsStream> {
        let request = request.into_inner();
        let book = Arc::clone(&self.book);
        book.leading(|_, _| ())?;
        if request.client_id.is_empty() {
            let resource = match request.resource_id.as_str() {
                "" => None,
                resource => Some(messages::id("resource_id", resource)?),
            };
            return Ok(Response::new(Box::pin(watch::all(book, resource, self.observers.take()?))));
        }
        let client = messages::id("client_id", &request.client_id)?;
        if !request.resource_id.is_empty() {
            return Err(status::invalid(
                "BAD_WATCH",
                "resource_id",
                "a client watches all that it uses; leave it out",
            ));
        }
        let slot = self.watchers.take()?;
        Ok(Response::new(Box::pin(watch::own(book, client, request.instance, slot))))
    }
}

/// The entry that a list starts after, and its largest number of entries.
fn page(token: &str, size: u32) -> Result<(Option<Id>, usize), Status> {
    let after = if token.is_empty() { None } else { Some(messages::id("page_token", token)?) };
    let most = usize::try_from(size).unwrap_or(MAX_ENTRIES);
    Ok((after, if most == 0 { MAX_ENTRIES } else { most.min(MAX_ENTRIES) }))
}
