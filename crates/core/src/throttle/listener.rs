//! Limits the connections that a listener accepts.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;

use super::parent::Parent;
use super::{Meter, Throttle};
use crate::budget::{ClientKey, Clients, Each, Node};

pin_project_lite::pin_project! {
    /// Wraps each connection of a stream in a [`Throttle`].
    ///
    /// Each connection has a node of its own, so that all have equal shares of the node above, however many reads and writes
    /// they have in progress; [by client](Self::by_client), the connections of one client share that client's node.
    ///
    /// [`reads`](Self::reads) and [`writes`](Self::writes) count all connections together; keep clones to read them while
    /// the stream is elsewhere.
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// use futures_lite::io::Cursor;
    /// use futures_lite::{AsyncWriteExt, StreamExt, future, stream};
    /// use sluicegate_core::budget::{Each, Node};
    /// use sluicegate_core::clock::SystemClock;
    /// use sluicegate_core::limit::{Budget, Rate};
    /// use sluicegate_core::throttle::Incoming;
    ///
    /// // Usually a listener of the program's runtime; here, one connection in memory.
    /// let accepted = stream::iter([std::io::Result::Ok(Cursor::new(Vec::new()))]);
    ///
    /// let clock = Arc::new(SystemClock::new());
    /// let server = Node::root("server", Budget::of(Rate::or_unlimited(1 << 20)), clock);
    /// let each = Each::new("connection", Budget::of(Rate::or_unlimited(200 << 10)));
    /// let mut incoming = Box::pin(Incoming::new(accepted, &server, each));
    /// future::block_on(async {
    ///     while let Some(connection) = incoming.next().await {
    ///         let mut connection = connection?;
    ///         connection.write_all(b"hello").await?;
    ///         assert_eq!(connection.writes().report().bytes, 5);
    ///     }
    ///     Ok::<(), std::io::Error>(())
    /// })?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub struct Incoming<S, IO> {
        #[pin]
        stream: S,
        parent: Parent<IO>,
        write_parent: Option<Node>,
        each: Each,
        reads: Meter,
        writes: Meter,
    }
}

impl<S, IO> Incoming<S, IO> {
    /// Gives each connection of `stream` a node below `parent`, with the budget of `each`, for its reads and writes together.
    pub fn new(stream: S, parent: &Node, each: Each) -> Self {
        Self::below(stream, Parent::Node(parent.clone()), each)
    }

    /// Gives each connection a node below that of its client, which `key` returns.
    pub fn by_client(
        stream: S,
        clients: &Clients,
        key: impl Fn(&IO) -> ClientKey + Send + Sync + 'static,
        each: Each,
    ) -> Self {
        Self::below(stream, Parent::client(clients, key), each)
    }

    fn below(stream: S, parent: Parent<IO>, each: Each) -> Self {
        let meter = || Meter::new(parent.clock());
        Self { stream, each, write_parent: None, reads: meter(), writes: meter(), parent }
    }

    /// Limits writes below `parent` instead, where each connection has a second node.
    #[must_use]
    pub fn with_write_parent(self, parent: &Node) -> Self {
        Self { write_parent: Some(parent.clone()), ..self }
    }

    /// Returns the meter of reads of all connections.
    pub fn reads(&self) -> &Meter {
        &self.reads
    }

    /// Returns the meter of writes of all connections.
    pub fn writes(&self) -> &Meter {
        &self.writes
    }

    /// Returns the budget of each connection, which may be set at any time.
    pub fn each(&self) -> &Each {
        &self.each
    }

    /// Returns the inner stream.
    pub fn get_ref(&self) -> &S {
        &self.stream
    }

    /// Returns the inner stream. Connections taken from it are not limited.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.stream
    }

    /// Returns the inner stream.
    pub fn into_inner(self) -> S {
        self.stream
    }
}

impl<S, IO, E> Stream for Incoming<S, IO>
where
    S: Stream<Item = Result<IO, E>>,
{
    type Item = Result<Throttle<IO>, E>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.project();
        let next = ready!(this.stream.poll_next(cx));
        Poll::Ready(next.map(|accepted| {
            let io = accepted?;
            let reads = this.each.child_of(&this.parent.node(&io));
            let writes = match this.write_parent {
                Some(parent) => this.each.child_of(parent),
                None => reads.clone(),
            };
            Ok(Throttle::metered(io, (&reads, this.reads.part()), (&writes, this.writes.part())))
        }))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.stream.size_hint()
    }
}

impl<S: fmt::Debug, IO> fmt::Debug for Incoming<S, IO> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Incoming")
            .field("stream", &self.stream)
            .field("each", &self.each)
            .finish_non_exhaustive()
    }
}
