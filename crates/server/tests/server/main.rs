//! The server over real sockets on loopback, with a client that is as small and as rude as each test needs.

mod connections;
mod http;
mod login;
mod requests;
mod tls;
mod world;
