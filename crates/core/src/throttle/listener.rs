//! Accepted connections, each below a shared node.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;

use super::parent::Parent;
use super::{Meter, Throttle};
use crate::budget::{ClientKey, Clients, Each, Node};

pin_project_lite::pin_project! {
    /// A stream of connections that are throttled and fair to each other.
    ///
    /// Each gets a node of its own, so that all have equal shares of what is above, whatever they ask for
    /// and however many reads and writes they have under way. By client, the connections of one client
    /// share what is that client's.
    ///
    /// The sums of all connections are read from [`reads`](Self::reads) and [`writes`](Self::writes), also
    /// by clones that are kept while the stream is elsewhere.
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
    /// // What a listener of the program's runtime gives; here, one connection in memory.
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
    /// Each connection of `stream` gets a node below `above`, with what `each` says; it bounds what it reads
    /// and what it writes together.
    pub fn new(stream: S, above: &Node, each: Each) -> Self {
        Self::at(stream, Parent::Node(above.clone()), each)
    }

    /// Each gets a node below that of its client, which `key` tells.
    pub fn by_client(
        stream: S,
        clients: &Clients,
        key: impl Fn(&IO) -> ClientKey + Send + Sync + 'static,
        each: Each,
    ) -> Self {
        Self::at(stream, Parent::client(clients, key), each)
    }

    fn at(stream: S, parent: Parent<IO>, each: Each) -> Self {
        let meter = || Meter::new(parent.clock());
        Self { stream, each, write_parent: None, reads: meter(), writes: meter(), parent }
    }

    /// The same, but what the connections write is bounded below `above`, where each gets a second node;
    /// the first is for what they read.
    #[must_use]
    pub fn with_write_node(self, above: &Node) -> Self {
        Self { write_parent: Some(above.clone()), ..self }
    }

    /// What all the connections have read.
    pub fn reads(&self) -> &Meter {
        &self.reads
    }

    /// What all the connections have written.
    pub fn writes(&self) -> &Meter {
        &self.writes
    }

    /// What each connection may by itself: to be set at any time, for all of them.
    pub fn each(&self) -> &Each {
        &self.each
    }

    /// The stream that is wrapped.
    pub fn get_ref(&self) -> &S {
        &self.stream
    }

    /// The stream that is wrapped. What is taken from it here is not throttled.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.stream
    }

    /// Gives the stream back.
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
                Some(above) => this.each.child_of(above),
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
