//! Server reflection, which describes the services to tools such as grpcurl.
//!
//! tonic-reflection's own server needs a tokio runtime; only its generated traits are used.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;

use futures_lite::{Stream, StreamExt};
use prost::Message;
use prost_types::{DescriptorProto, FileDescriptorProto, FileDescriptorSet};
use tonic::{Code, Request, Response, Status, Streaming};
use tonic_reflection::pb::v1 as pb;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use tonic_reflection::pb::v1::server_reflection_server::ServerReflection;

pub(super) struct Reflection(Arc<Index>);

#[derive(Default)]
struct Index {
    services: Vec<String>,
    files: Vec<Vec<u8>>,
    by_name: HashMap<String, usize>,
    by_symbol: HashMap<String, usize>,
}

impl Reflection {
    /// Serves these encoded file descriptor sets.
    ///
    /// # Errors
    /// One cannot be decoded.
    pub(super) fn new(sets: &[&[u8]]) -> Result<Self, prost::DecodeError> {
        let mut index = Index::default();
        for set in sets {
            for file in FileDescriptorSet::decode(*set)?.file {
                index.add(&file);
            }
        }
        index.services.sort();
        Ok(Self(Arc::new(index)))
    }
}

impl Index {
    fn add(&mut self, file: &FileDescriptorProto) {
        // A file in both sets is the same.
        if self.by_name.contains_key(file.name()) {
            return;
        }
        let at = self.files.len();
        self.by_name.insert(file.name().to_owned(), at);
        self.files.push(file.encode_to_vec());
        let package = file.package();
        for message in &file.message_type {
            self.add_message(package, message, at);
        }
        for enumeration in &file.enum_type {
            self.by_symbol.insert(join(package, enumeration.name()), at);
        }
        for service in &file.service {
            let name = join(package, service.name());
            for method in &service.method {
                self.by_symbol.insert(join(&name, method.name()), at);
            }
            self.by_symbol.insert(name.clone(), at);
            self.services.push(name);
        }
    }

    fn add_message(&mut self, within: &str, message: &DescriptorProto, at: usize) {
        let name = join(within, message.name());
        for nested in &message.nested_type {
            self.add_message(&name, nested, at);
        }
        for enumeration in &message.enum_type {
            self.by_symbol.insert(join(&name, enumeration.name()), at);
        }
        for field in &message.field {
            self.by_symbol.insert(join(&name, field.name()), at);
        }
        self.by_symbol.insert(name, at);
    }

    fn answer(&self, request: &pb::ServerReflectionRequest) -> MessageResponse {
        let file = |at: Option<&usize>| match at {
            Some(at) => MessageResponse::FileDescriptorResponse(pb::FileDescriptorResponse {
                file_descriptor_proto: vec![self.files[*at].clone()],
            }),
            None => not_found(),
        };
        match &request.message_request {
            Some(MessageRequest::ListServices(_)) => {
                let named = |name: &String| pb::ServiceResponse { name: name.clone() };
                MessageResponse::ListServicesResponse(pb::ListServiceResponse {
                    service: self.services.iter().map(named).collect(),
                })
            }
            Some(MessageRequest::FileByFilename(name)) => file(self.by_name.get(name)),
            Some(MessageRequest::FileContainingSymbol(symbol)) => file(self.by_symbol.get(symbol)),
            // There are no extensions.
            Some(MessageRequest::AllExtensionNumbersOfType(name)) if self.by_symbol.contains_key(name) => {
                MessageResponse::AllExtensionNumbersResponse(pb::ExtensionNumberResponse {
                    base_type_name: name.clone(),
                    extension_number: vec![],
                })
            }
            _ => not_found(),
        }
    }
}

fn join(within: &str, name: &str) -> String {
    if within.is_empty() { name.to_owned() } else { format!("{within}.{name}") }
}

fn not_found() -> MessageResponse {
    MessageResponse::ErrorResponse(pb::ErrorResponse {
        error_code: Code::NotFound as i32,
        error_message: "nothing is known by this name".to_owned(),
    })
}

#[tonic::async_trait]
impl ServerReflection for Reflection {
    type ServerReflectionInfoStream =
        Pin<Box<dyn Stream<Item = Result<pb::ServerReflectionResponse, Status>> + Send>>;

    async fn server_reflection_info(
        &self,
        request: Request<Streaming<pb::ServerReflectionRequest>>,
    ) -> Result<Response<Self::ServerReflectionInfoStream>, Status> {
        let index = Arc::clone(&self.0);
        let answers = request.into_inner().map(move |request| {
            let request = request?;
            Ok(pb::ServerReflectionResponse {
                valid_host: request.host.clone(),
                message_response: Some(index.answer(&request)),
                original_request: Some(request),
            })
        });
        Ok(Response::new(Box::pin(answers)))
    }
}
