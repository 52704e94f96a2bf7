//! The sink: between HTTP framing and the socket.
